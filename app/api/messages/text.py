"""One sentence in both languages."""

from __future__ import annotations

from typing import NamedTuple

from app.domain import Language


class Message(NamedTuple):
    """`{name}` stands for the error's parameter of that name."""

    en: str
    ko: str

    def in_language(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en
