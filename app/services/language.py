"""Which of the two languages a text is written in."""

from __future__ import annotations

from app.domain import Language

KOREAN_SHARE = 0.15
"""Korean notes are full of English terms ("chest pain 2시간 전부터"), English ones hold no Hangul at all."""


def detect_language(text: str) -> Language | None:
    """By the share of Hangul among its letters; None where there is no letter."""
    letters = hangul = 0
    for character in text:
        if character.isalpha():
            letters += 1
            hangul += "\uac00" <= character <= "\ud7a3" or "\u3131" <= character <= "\u318e"
    if letters == 0:
        return None
    return "ko" if hangul / letters >= KOREAN_SHARE else "en"
