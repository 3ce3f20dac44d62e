"""Text as the matchers read it: composed, width-folded, lower case, and still traceable to the original.

Typed text arrives decomposed (macOS file names), full-width (Korean and Japanese keyboards) or with zero-width marks in
it, and with misspelt endings, which are corrected in place (`spelling`). Each original segment (a character and what
combines with it) is normalised alone, so that every character of the result knows which span of the original it came
from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from app.knowledge.spelling import corrected

_MAX_SEGMENT = 16
"""Marks beyond this many start a segment of their own: normalising is quadratic in the length of a run of marks."""
_FOLD = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "–": "-", "−": "-", "—": "-", "‐": "-", "‑": "-"})

_PLAIN = re.compile(r"[\x00-\x7f가-힣\u3131-\u318e·…]*")
"""Characters that are in normal form already, one by one."""


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """`text[i]` came from `original[starts[i]:ends[i]]`."""

    original: str
    text: str
    starts: range | list[int]
    ends: range | list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original span of the non-empty normalised span [start, end)."""
        return self.starts[start], self.ends[end - 1]


def normalise(original: str) -> NormalisedText:
    if _PLAIN.fullmatch(original):
        length = len(original)
        return NormalisedText(original, corrected(original.lower()), range(length), range(1, length + 1))
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _segments(original):
        for character in _normal_form(original[start:end]):
            characters.append(character)
            starts.append(start)
            ends.append(end)
    return NormalisedText(original, corrected("".join(characters)), starts, ends)


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a character with the marks and conjoining vowels/finals that follow it."""
    start = 0
    for index in range(1, len(text)):
        joins = index - start < _MAX_SEGMENT and _joins_previous(text[index])
        if not joins:
            yield start, index
            start = index
    if text:
        yield start, len(text)


def _joins_previous(character: str) -> bool:
    if character < "\u0300":
        return False
    if "가" <= character <= "힣":
        return False
    return "\u1160" <= character <= "\u11ff" or unicodedata.combining(character) != 0


def _normal_form(segment: str) -> str:
    """NFKC, lower case, quotes and dashes folded; "" for format characters; stray Korean letters (ㅠ) as they are."""
    if len(segment) == 1:
        if "가" <= segment <= "힣" or "\u3131" <= segment <= "\u318e":
            return segment
        if unicodedata.category(segment) == "Cf":
            return ""
    return unicodedata.normalize("NFKC", segment).lower().translate(_FOLD)
