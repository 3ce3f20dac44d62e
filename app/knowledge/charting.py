"""Shorthand of clinical notes in both languages: clusters of initials ("N/V/D", "T/R") and signs ("(-/+)", "cough -").

Read on normalised text. Every repetition in the patterns is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.knowledge.mention import Mention
from app.knowledge.negation_ko import linked

_BOWELS = {
    "a": "loss_of_appetite",
    "n": "nausea",
    "v": "vomiting",
    "d": "diarrhea",
    "c": "constipation",
}
_FEVER = {"f": "fever", "c": "chills", "s": "night_sweats", "r": "rigors"}
_AIRWAYS = {"c": "cough", "s": "productive_cough", "r": "runny_nose", "st": "sore_throat"}
_CLUSTERS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(r"(?<![a-z/])(?:a\s?/\s?)?n\s?[/&+]\s?v(?:\s?[/&+]\s?[dc]){0,2}(?![a-z/])"), _BOWELS),
    (re.compile(r"(?<![a-z/])(?:d\s?[/&+]\s?v|v\s?[/&+]\s?d)(?:\s?[/&+]\s?[nc])?(?![a-z/])"), _BOWELS),
    (re.compile(r"(?<![a-z/])f\s?/\s?c(?:\s?/\s?[sr])?(?![a-z/])"), _FEVER),
    (re.compile(r"(?<![a-z/])c\s?/\s?s\s?/\s?r(?:\s?/\s?st)?(?![a-z/])"), _AIRWAYS),
    (re.compile(r"(?<![a-z/])c\s?/\s?s(?=\s?\(\s?[-+])"), _AIRWAYS),
)
_INITIAL = re.compile("[a-z]{1,2}")
_QUADRANTS = {
    "rlq": "right_lower_quadrant_pain",
    "ruq": "right_upper_quadrant_pain",
    "llq": "left_lower_quadrant_pain",
    "luq": "left_upper_quadrant_pain",
    "epigastric": "epigastric_pain",
    "abd": "abdominal_pain",
}
_PRESSED = re.compile(
    r"(?<![a-z/])(?:(?P<before>rlq|ruq|llq|luq|epigastric|abd)(?:ominal)?\.?\s?)?"
    r"(?P<direct>td?)\s?/\s?(?P<rebound>rt?d?)(?![a-z/])(?:\s?\([-+/\s]{1,5}\))?"
    r"(?:\s(?:on|in|at)?\s?(?P<after>rlq|ruq|llq|luq|epigastric))?"
)
"""Direct and rebound tenderness of the belly."""
_DENYING = {
    "fever": r"afebrile|apyrexi[ac]l?|(?:temp(?:erature)?|bt)\s(?:is\s|was\s)?normal|normal\stemp(?:erature)?"
    r"|체온(?:은|이|도)?\s?정상|정상\s?체온",
    "jaundice": r"anicteric|non-?icteric",
    "abdominal_distension": r"non-?distended|nd(?=\s?[,.]\s?bs)",
    "dyspnea": r"eupn[oe]{1,2}ic",
    "petechiae": r"(?:rash\s)?(?:is\s)?blanching|blanches",
}
_DENIALS = tuple((re.compile(rf"(?<![a-z가-힣-])(?:{words})(?![a-z])"), owner) for owner, words in _DENYING.items())
_SAYING = ((re.compile(r"\bthe\sruns\b(?!\s(?:in|to|of|were|was|are|i)\b)"), "diarrhea"),)
"""Said by the article alone: "the runs", but not "he runs"."""

_AFTER = re.compile(r"\s{0,2}\(\s?([-+±]{1,3}(?:\s?[/,]\s?[-+±]{1,3}){0,7})\s?\)")
_AFTER_BARE = re.compile(r"\s?:?\s?([-+±]{1,3}(?:/[-+±]{1,3}){0,7})(?=[\s,.;)]|$)")
_BEFORE = re.compile(r"(?:^|[\n,.;:]\s{0,2})\(\s?([-+])\s?\)\s?$")
_CHARTED_PLUS = re.compile(
    r"[a-z가-힣]\s?:?\s?\+{1,3}(?=[\s,.;)]|$)|[a-z가-힣]-(?=[,.;]|$)|[a-z가-힣]\s?:\s?-(?=[\s,.;]|$)"
)
_LEAD = 8


def mentions(text: str) -> Iterator[Mention]:
    """Findings that `text` says in clusters of initials, and words that deny one by themselves ("afebrile")."""
    for pattern, meanings in _CLUSTERS:
        for cluster in pattern.finditer(text):
            for initial in _INITIAL.finditer(text, *cluster.span()):
                yield Mention(meanings[initial.group()], *initial.span(), 1, "latin")
    for pressed in _PRESSED.finditer(text):
        place = pressed["before"] or pressed["after"]
        start = pressed.start("before") if pressed["before"] else pressed.start("direct")
        yield Mention(_QUADRANTS.get(place or "abd", "abdominal_pain"), start, pressed.end("direct"), 1, "latin")
        yield Mention("rebound_tenderness", *pressed.span("rebound"), 1, "latin")
    for pattern, finding_id in _SAYING:
        for match in pattern.finditer(text):
            yield Mention(finding_id, *match.span(), 1, "latin")
    for pattern, finding_id in _DENIALS:
        for match in pattern.finditer(text):
            yield Mention(finding_id, *match.span(), 1, "latin", stated="absent")


def signs(text: str, found: Sequence[Mention]) -> list[bool | None]:
    """Signs as in a chart, "fever/chill (-/+)" or "(-) fever": for each mention True, False or None where none is."""
    given: list[bool | None] = [None] * len(found)
    bare = _CHARTED_PLUS.search(text) is not None
    for index, mention in enumerate(found):
        marks = _marks_after(text, mention.end, bare=bare)
        if marks:
            _hand_out(text, found, given, index, marks)
        elif given[index] is None:
            match = _BEFORE.search(text[max(0, mention.start - _LEAD) : mention.start])
            given[index] = None if match is None else match.group(1) == "+"
    return given


def _hand_out(
    text: str, found: Sequence[Mention], given: list[bool | None], last: int, marks: tuple[bool, ...]
) -> None:
    """Gives the marks to the linked mentions that end at `last`; what is left over (both sides) goes to the first."""
    position = last
    for place in range(len(marks) - 1, -1, -1):
        given[position] = marks[place]
        if position == 0 or not linked(text, found[position - 1].end, found[position].start):
            given[position] = any(marks[: place + 1])
            return
        if len(marks) > 1:
            position -= 1
    if len(marks) == 1 and marks[0] is False:
        _deny_list(text, found, given, last)


def _deny_list(text: str, found: Sequence[Mention], given: list[bool | None], last: int) -> None:
    """One minus for a list with slashes: "fever/chill (-)"."""
    for position in range(last, 0, -1):
        if "/" not in text[found[position - 1].end : found[position].start]:
            return
        if not linked(text, found[position - 1].end, found[position].start):
            return
        given[position - 1] = False


def _marks_after(text: str, end: int, *, bare: bool) -> tuple[bool, ...]:
    match = _AFTER.match(text, end) or (_AFTER_BARE.match(text, end) if bare else None)
    if match is None:
        return ()
    return tuple("-" not in sign for sign in re.split("[/,]", match.group(1)))
