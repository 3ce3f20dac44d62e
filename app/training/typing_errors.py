"""Typing errors as people make them on phones: letters swapped, dropped or doubled; Korean spaces lost or added."""

from __future__ import annotations

import random

from app.domain import Language


def with_typing_errors(text: str, language: Language, rng: random.Random, share: float = 1 / 6) -> str:
    """The text, with one to three errors in a `share` of cases; short texts are left alone."""
    if rng.random() > share or len(text) < 20:
        return text
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = _korean(text, rng) if language == "ko" else _english(text, rng)
    return text


def _korean(text: str, rng: random.Random) -> str:
    spaces = [position for position, letter in enumerate(text) if letter == " "]
    if not spaces:
        return text
    cut = rng.choice(spaces)
    return text[:cut] + text[cut + 1 :]


def _english(text: str, rng: random.Random) -> str:
    position = rng.randrange(1, len(text) - 2)
    kind = rng.random()
    if kind < 0.4:
        return text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    if kind < 0.8:
        return text[:position] + text[position + 1 :]
    return text[:position] + text[position] + text[position:]
