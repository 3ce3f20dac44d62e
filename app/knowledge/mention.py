"""A place in a text where the lexicon recognises a finding, before anything is said about its polarity."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from app.domain import FindingStatus


@dataclass(frozen=True, slots=True)
class Mention:
    """Span [start, end) in the normalised text. `inner_negation`: a negator stands inside ("chest does not hurt")."""

    finding_id: str
    start: int
    end: int
    weight: int
    script: Literal["latin", "hangul"]
    inner_negation: bool = False
    stated: FindingStatus | None = None
    """What it says by itself, as a measured value or "afebrile" does; "present" may still be denied or past."""


def measured_mention(finding_id: str, match: re.Match[str], status: FindingStatus = "present") -> Mention:
    """A finding that the number in `match` says."""
    return Mention(finding_id, *match.span(), 1, "latin", stated=status)


def keep_longest(mentions: Iterable[Mention]) -> list[Mention]:
    """Without the mentions that lie inside a longer one; in text order. O(n log n)."""
    ordered = sorted(mentions, key=lambda mention: (mention.start, -mention.end, -mention.weight))
    kept: list[Mention] = []
    reach = -1
    for mention in ordered:
        if mention.end > reach:
            kept.append(mention)
            reach = mention.end
    return kept
