"""Free text from a caller, made fit to read and to store."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """NFC, line ends as \\n, other control characters but tab as spaces, trimmed. The caller looks for nulls first."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(" " if _is_control(letter) else letter for letter in composed).strip()


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) == "Cc" and letter not in "\t\n"
