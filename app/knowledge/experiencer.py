"""Whose finding is it? A mother's diabetes is not the patient's; a husband who has just collapsed is the patient.

What is only feared or asked about ("I'm worried about cancer", "암일까요?") is nobody's, and what friends or colleagues
have says nothing of the patient: neither is read at all.

Children are taken as the patient (a parent writes for them). For other relatives the rule is: what is said of them is
left out, unless the text says nothing of the writer and tells of acute symptoms: then it is a report on their behalf.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from app.knowledge.mention import Mention
from app.knowledge.words import words

_EN_RELATIVES = "|".join(
    words(
        """
        mother mom mum mommy father dad daddy parents? brothers? sisters? siblings? husband wife spouse boyfriend
        nan nana gran granny grandad granddad girlfriend fianc[eé]e?
        grandmother grandma grandfather grandpa grandparents? aunts? uncles? cousins? nephew
        niece relatives? family friends? roommate flatmate coworkers? colleagues? neighbou?rs? classmates? in-law
        """
    )
)
_KO_RELATIVES = "|".join(
    words(
        """
        장모님 장인어른 시어머님 시아버님 친정엄마 친정어머니 친정아버지 친정언니 시누이 선친
        시어머니 시아버지 친어머니 친아버지 외할머니 외할아버지 친할머니 친할아버지 큰아버지 작은아버지 어머니
        어머님 엄마 아버지 아버님 아빠 부모님 부모 할머니 할아버지 형제 자매 남매 누나 오빠 언니 남동생 여동생
        동생 형님 형 남편 아내 와이프 남자친구 여자친구 남친 여친 이모 고모 삼촌 외삼촌 신랑 마누라 사촌 조카 장인 장모
        큰누님 누님 큰형 큰언니 큰오빠 집사람
        가족들 가족 친척 친구들 친구 동료들 동료 룸메이트 이웃
        """
    )
)
_NO_KIN = re.compile(
    "friend|boyfriend|girlfriend|roommate|flatmate|coworker|colleague|neighbou?r|classmate"
    "|친구|남자친구|여자친구|남친|여친|동료|룸메이트|이웃"
)
_RELATIVE = re.compile(
    rf"(?<![a-z])(?:{_EN_RELATIVES})(?![a-z])"
    rf"|(?<![가-힣0-9])(?:(?:우리|저희)\s?)?(?:{_KO_RELATIVES})(?=[\s,.]|가|이|는|은|께|도|의|에|한|네|와|랑|중|쪽|들|력|$)"
)
_NOT_SUBJECT = re.compile(
    r"\b(?:with|from|to|for|by|near|around|told|call|called|ask|asked|live|visiting|visit|see|saw)\s+"
    r"(?:(?:my|our|a|the|his|her|some)\s+)?(?:\w+\s+)?$"
)
_KO_NOT_SUBJECT = re.compile(r"(?:와|랑|에게|한테|하고|과)")
_REPORTING = r"\s+(?:think|found|find|believe|noticed|saw|called|am\s+worried|am\s+calling|brought|wonder|need|want)"
_KO_MINE = rf"(?!\s(?:{_KO_RELATIVES}))"
"""제 아내가: the wife is meant, not the writer."""
_KO_SELF = "|".join(words("저는 제가 저도 저의 제 저 나는 내가 나도 내 전 난 본인은 본인이 환자는 환자가"))
_FIRST_PERSON = re.compile(
    rf"\b(?:i(?!{_REPORTING})|me|myself|mine|my(?!\s+(?:\w+\s+)?(?:{_EN_RELATIVES})(?![a-z])))\b"
    rf"|(?<![가-힣])(?:{_KO_SELF})(?![가-힣]){_KO_MINE}"
)
_SENTENCE_END = re.compile(r"[.!?;\n。]")
_CLAUSE_END = re.compile(r"[.!?;,\n。]|but(?![a-z])|(?:고|지만|는데|은데|인데|며|면서|으나|니까|셔서)(?=\s)")
_HISTORY_AFTER = re.compile(
    r"\s{0,2}(?:의\s?)?(?:에\s?대한\s?)?가족력"
    r"|\s+(?:also\s+)?(?:runs?\s+in\s+(?:the|my|our)\s+family"
    rf"|(?:in|on)\s+(?:my|the|our|his|her)\s+(?:{_EN_RELATIVES})(?:'s)?(?:\s+side)?)\b"
)
_PAST = re.compile(
    r"돌아가|적이\s?있|임신\s?때|낳을\s?때|병력|앓으|앓았|진단"
    r"|died|passed away|history|used to|diagnosed|years? ago|family|가족"
)

_SUPPOSED_BEFORE = re.compile(
    r"(?:(?:thought|assumed|figured) (?:it|this|that) (?:was|were|is|might be|must be)(?: just)?"
    r"|mistook it for|put it down to"
    r"|worried about|afraid of|scared of|concerned about|fear of|could it be|could this be|is it|is this|rule out|r/o"
    r"|screen(?:ed|ing)? for|test(?:ed|ing)? for|(?:at )?risk (?:of|for)|vaccinat(?:ed|ion) (?:for|against))"
    r"\s(?:having\s)?(?:(?:a|an|the|my)\s)?$"
)
_SUPPOSED_AFTER = re.compile(
    r"\s?(?:이|인)?\s?줄\s?(?:만\s?|로\s?)?(?:알|착각)|(?:이|가)?\s?(?:일까|인가요|인가\s?(?:해서|하고|했|싶)|아닌가|아닌지|아니냐|검진|예방|백신)|\s?(?:초기)?(?:랑|와|과|하고)?\s?(?:너무\s|참\s)?비슷"
    r"|\s?(?:tests?\b|테스트|(?:반응\s?)?검사)(?![^.\n]{0,40}(?:positive|negative|양성|음성|줄|정상|없))"
)
_TOLD_TO = re.compile(
    r"(?:한테|에게|께)(?:는|도|만)?\s(?:(?:아직|차마|절대|여태|한\s?번도|이런|그런|제대로|솔직히|하소연)(?:까지|도)?\s){0,2}$"
)
"""아내*한테* 말을 못 했어요: it was not told, not lost."""
_AROUND = frozenset({"carbon_monoxide_exposure", "others_with_same_symptoms"})
"""Of the house, not of the relative that is named with it."""
_SEEN_BY_OTHERS = frozenset({"jaundice", "pallor", "snoring", "apnea", "facial_droop", "slurred_speech", "bad_breath"})
_TELLING = re.compile(r"[가-힣]{0,4}(?:다고|냐고|라고|대요|더라고|데요)")
"""아내가 눈이 노랗다고 해요: what relatives see in the patient, and say."""
_NOTICING = re.compile(
    r"(?:,\s)?\s(?:\w+\s)?(?:found|noticed|spotted|discovered|saw|pressed|(?:say|says|said|reckons|thinks)\s(?:that\s)?(?:i|my)\b)"
)
_TAKEN = frozenset({"poison_ingestion", "medication_overdose"})
"""할머니 *약을 한 통 다 먹었어요*: her tablets, but not she took them."""
_BELONGING = re.compile(
    r"'s?\s(?:(?!home)\w{2,12}\s){0,3}?(?:hand)?(?:bags?|purse|house|home(?!\soxygen)|flat|kitchen|cupboards?|drawers?|cabinet|bathroom"
    r"|tablets?|pills?|tabs|capsules?|meds|medicines?|medications?|drugs|insulin|patch(?:es)?|inhaler|bottles?|box|car|garden"
    r"|wedding|funeral|birthday|party|dogs?|cats?|cooking|bed|sofa|place)\b"
    r"|(?:의)?\s(?:[가-힣]{1,5}\s?)?(?:약(?:을|를|통을|봉지를)?\s(?:[가-힣0-9]{1,6}\s){0,3}(?:먹었|먹은|먹고|삼켰|삼킨|삼키|집어|꺼내|털어)"
    r"|(?:가방|서랍|약통|약장|집|댁|생신|장례식|결혼식|제사|차|텃밭)(?:에|을|를|의|\s))"
)
"""Things of theirs: the tablets from nan's handbag were swallowed by the patient, and what they are for is hers."""
_BY_NATURE = frozenset({"pregnancy", "recent_childbirth", "missed_period"})
"""Told of a wife or a daughter for whom the text is written: 아내가 *임신* 37주인데 ..."""
_LONGEST_LEAD = 40


@dataclass(frozen=True, slots=True)
class Zone:
    """What is said of a relative: everything in [start, acute_end), and facts of history up to `history_end`."""

    start: int
    acute_end: int
    history_end: int
    kin: bool


Owner = Literal["family", "nobody"]


def others_findings(text: str, mentions: Iterable[Mention], is_history: Mapping[str, bool]) -> dict[Mention, Owner]:
    """Whose the mentions are that are not the patient's. `text` is normalised; `is_history` by finding id."""
    listed = list(mentions)
    others: dict[Mention, Owner] = {}
    for mention in listed:
        if _is_supposed(text, mention):
            others[mention] = "nobody"
        elif _HISTORY_AFTER.match(text, mention.end):
            others[mention] = "family"
    zones = _zones(text)
    if not zones:
        return others
    starts = [zone.start for zone in zones]
    covered = {
        mention: zone
        for mention in listed
        if mention.finding_id not in _AROUND
        and not (mention.finding_id in _SEEN_BY_OTHERS and _TELLING.match(text, mention.end))
        and (zone := _covering(zones, starts, mention, history=is_history[mention.finding_id])) is not None
        and not (mention.finding_id in _TAKEN and zone.acute_end == zone.start)
    }
    is_report = _is_report_for_another(text, zones)
    if is_report:
        covered = {mention: zone for mention, zone in covered.items() if mention.finding_id not in _BY_NATURE}
    tells_acutely = any(not is_history[mention.finding_id] or mention.finding_id in _TAKEN for mention in covered)
    if not (tells_acutely and is_report):
        for mention, zone in covered.items():
            others.setdefault(mention, "family" if zone.kin else "nobody")
    return others


def _is_supposed(text: str, mention: Mention) -> bool:
    before = text[max(0, mention.start - _LONGEST_LEAD) : mention.start]
    if mention.finding_id == "aphasia" and _TOLD_TO.search(before) is not None:
        return True
    return bool(_SUPPOSED_BEFORE.search(before)) or _SUPPOSED_AFTER.match(text, mention.end) is not None


class _Marks:
    """Where something stands in a text, found once; `after` is the next place at or after a position."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        self._places = [match.start() for match in pattern.finditer(text)]
        self._end = len(text)

    def after(self, position: int) -> int:
        index = bisect_left(self._places, position)
        return self._places[index] if index < len(self._places) else self._end


def _zones(text: str) -> list[Zone]:
    relatives = list(_RELATIVE.finditer(text))
    if not relatives:
        return []
    sentences, clauses, persons = _Marks(_SENTENCE_END, text), _Marks(_CLAUSE_END, text), _Marks(_FIRST_PERSON, text)
    zones = []
    for match in relatives:
        before = text[max(0, match.start() - _LONGEST_LEAD) : match.start()]
        if _NOT_SUBJECT.search(before) or _KO_NOT_SUBJECT.match(text, match.end()):
            continue
        if _NOTICING.match(text, match.end()):
            continue
        history_end = min(sentences.after(match.end()), persons.after(match.end()))
        kin = _NO_KIN.match(match.group()) is None
        if (thing := _BELONGING.match(text, match.end())) is not None:
            zones.append(Zone(match.end(), match.end(), thing.end(), kin))
            continue
        zones.append(Zone(match.end(), min(clauses.after(match.end()), history_end), history_end, kin))
    return zones


def _covering(zones: list[Zone], starts: list[int], mention: Mention, *, history: bool) -> Zone | None:
    """The zone that was opened last before the mention, if it still holds it."""
    index = bisect_right(starts, mention.start) - 1
    if index < 0:
        return None
    zone = zones[index]
    return zone if mention.start < (zone.history_end if history else zone.acute_end) else None


def _is_report_for_another(text: str, zones: list[Zone]) -> bool:
    if _FIRST_PERSON.search(text) is not None:
        return False
    first = zones[0]
    return _PAST.search(text, max(0, first.start - 8), first.history_end) is None
