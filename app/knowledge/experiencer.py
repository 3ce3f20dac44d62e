"""Whose finding is it? A mother's diabetes is not the patient's; a husband who has just collapsed is the patient.

Children are taken as the patient (a parent writes for them). For other relatives the rule is: what is said of them is left
out, unless the text says nothing of the writer and tells of acute symptoms, in which case it is a report on their behalf.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.knowledge.mention import Mention

_EN_RELATIVES = (
    "mother|mom|mum|mommy|father|dad|daddy|parents?|brothers?|sisters?|siblings?|husband|wife|spouse|boyfriend|girlfriend|fianc[eé]e?|"
    "grandmother|grandma|grandfather|grandpa|grandparents?|aunt|aunts|uncle|uncles|cousins?|nephew|niece|relatives?|family|friends?|roommate|"
    "flatmate|coworkers?|colleagues?|neighbou?rs?|classmates?|in-law"
)
_KO_RELATIVES = (
    "시어머니|시아버지|친어머니|친아버지|외할머니|외할아버지|친할머니|친할아버지|큰아버지|작은아버지|어머니|어머님|엄마|아버지|아버님|아빠|부모님|부모|할머니|할아버지|"
    "형제|자매|남매|누나|오빠|언니|남동생|여동생|동생|형님|형|남편|아내|와이프|남자친구|여자친구|남친|여친|이모|고모|삼촌|외삼촌|사촌|조카|장인|장모|"
    "가족들|가족|친척|친구들|친구|동료들|동료|룸메이트|이웃"
)
_RELATIVE = re.compile(
    rf"(?<![a-z])(?:{_EN_RELATIVES})(?![a-z])|(?<![가-힣])(?:(?:우리|저희)\s?)?(?:{_KO_RELATIVES})(?=[\s,.]|가|이|는|은|께|도|의|에|한|네|와|랑|중|쪽|들|력|$)"
)
_NOT_SUBJECT = re.compile(
    r"(?:\b(?:with|from|to|for|by|near|around|told|call|called|ask|asked|live|visiting|visit|see|saw)\s+(?:(?:my|our|a|the|his|her|some)\s+)?(?:\w+\s+)?)$"
)
_KO_NOT_SUBJECT = re.compile(r"(?:와|랑|에게|한테|하고|과)")
_FIRST_PERSON = re.compile(
    rf"\b(?:i(?!\s+(?:think|found|find|believe|noticed|saw|called|am\s+worried|am\s+calling|brought|wonder|need|want))|me|myself|mine|my(?!\s+(?:\w+\s+)?(?:{_EN_RELATIVES})(?![a-z])))\b"
    r"|(?<![가-힣])(?:저는|제가|저도|저의|제|저|나는|내가|나도|내|전|난|본인은|본인이|환자는|환자가)(?=\s|[^가-힣]|$)"
)
_SENTENCE_END = re.compile(r"[.!?;\n。]")
_CLAUSE_END = re.compile(r"[.!?;,\n。]|\bbut\b|(?<=[가-힣])(?:고|지만|는데|은데|인데|며|면서|으나|니까|셔서)(?=\s)")
_HISTORY_AFTER = re.compile(
    r"\s{0,2}(?:의\s?)?(?:에\s?대한\s?)?가족력|\s+(?:also\s+)?(?:runs?\s+in\s+(?:the|my|our)\s+family|(?:in|on)\s+(?:my|the|our|his|her)\s+"
    rf"(?:{_EN_RELATIVES})(?:'s)?(?:\s+side)?)\b"
)
_PAST = re.compile(
    r"돌아가|적이\s?있|병력|앓으|앓았|진단|died|passed away|history|used to|diagnosed|years? ago|family|가족"
)


@dataclass(frozen=True, slots=True)
class Zone:
    """What is said of a relative: everything in [start, acute_end), and facts of history up to `history_end`."""

    start: int
    acute_end: int
    history_end: int


def others_findings(text: str, mentions: Iterable[Mention], is_history: Mapping[str, bool]) -> set[Mention]:
    """The mentions that are about somebody else. `text` is normalised; `is_history` by finding id."""
    listed = list(mentions)
    others = {mention for mention in listed if _HISTORY_AFTER.match(text, mention.end)}
    zones = _zones(text)
    if not zones:
        return others
    within = {mention: _covers(zones, mention, history=is_history[mention.finding_id]) for mention in listed}
    acute = [mention for mention in listed if within[mention] is not None and not is_history[mention.finding_id]]
    if acute and _is_report_for_another(text, zones):
        return others
    return others | {mention for mention in listed if within[mention] is not None}


def _zones(text: str) -> list[Zone]:
    zones = []
    for match in _RELATIVE.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        if _NOT_SUBJECT.search(before) or _KO_NOT_SUBJECT.match(text, match.end()):
            continue
        sentence = _SENTENCE_END.search(text, match.end())
        sentence_end = sentence.start() if sentence else len(text)
        person = _FIRST_PERSON.search(text, match.end(), sentence_end)
        history_end = person.start() if person else sentence_end
        clause = _CLAUSE_END.search(text, match.end(), history_end)
        zones.append(Zone(match.end(), clause.start() if clause else history_end, history_end))
    return zones


def _covers(zones: list[Zone], mention: Mention, *, history: bool) -> Zone | None:
    for zone in zones:
        if zone.start <= mention.start < (zone.history_end if history else zone.acute_end):
            return zone
    return None


def _is_report_for_another(text: str, zones: list[Zone]) -> bool:
    if _FIRST_PERSON.search(text) is not None:
        return False
    first = zones[0]
    return _PAST.search(text, max(0, first.start - 8), first.history_end) is None
