"""How long a finding has lasted, in days: "for three days", "since yesterday", "사흘째", "2주 전부터"."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

_HOUR, _WEEK, _MONTH, _YEAR = 1 / 24, 7.0, 30.0, 365.0
_EN_NUMBERS = {
    "a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0,
    "eight": 8.0, "nine": 9.0, "ten": 10.0, "twelve": 12.0, "couple": 2.0, "few": 3.0, "several": 4.0, "half": 0.5,
}  # fmt: skip
_EN_UNITS = {
    "min": _HOUR / 60, "hour": _HOUR, "hr": _HOUR, "day": 1.0, "night": 1.0, "week": _WEEK, "wk": _WEEK,
    "month": _MONTH, "year": _YEAR, "yr": _YEAR,
}  # fmt: skip
_EN_LENGTH = (
    r"(?:about\s|around\s|almost\s|nearly\s|over\s|at\sleast\s|more\sthan\s|roughly\s)?(?:a\s)?"
    rf"(?P<count>\d{{1,3}}(?:\.\d)?|{'|'.join(sorted(_EN_NUMBERS, key=len, reverse=True))})(?:\sof)?(?:\san?)?[\s-]?"
    r"(?P<unit>min|hour|hr|day|night|week|wk|month|year|yr)(?:ute)?s?\b(?![\s-]old)"
)
_EN = re.compile(
    rf"\b(?:for|past|last|since|over|x)\s?(?:the\s)?(?:(?:past|last)\s)?{_EN_LENGTH}"
    rf"|\b{_EN_LENGTH.replace('P<count>', 'P<count2>').replace('P<unit>', 'P<unit2>')}"
    r"(?=\s(?:ago|now|history|in\sa\srow|straight|of\s(?!age)))"
)
_EN_SINCE = re.compile(
    r"\b(?:since|from)\s(?:(?:the\sday\sbefore\s)?yesterday|last\s(?:night|week|month|year)|this\smorning|today)"
)
_EN_SINCE_DAYS = {
    "before yesterday": 2.0, "yesterday": 1.0, "last night": 1.0, "this morning": 0.5, "today": 0.5,
    "last week": _WEEK, "last month": _MONTH, "last year": _YEAR,
}  # fmt: skip

_KO_DAYS = {
    "하루": 1.0, "이틀": 2.0, "사흘": 3.0, "나흘": 4.0, "닷새": 5.0, "엿새": 6.0, "이레": 7.0, "여드레": 8.0,
    "아흐레": 9.0, "열흘": 10.0, "보름": 15.0, "며칠": 3.0, "몇일": 3.0, "반나절": 0.5,
}  # fmt: skip
_KO_NUMBERS = {
    "한두": 1.5, "두세": 2.5, "서너": 3.5, "한": 1.0, "두": 2.0, "세": 3.0, "네": 4.0, "다섯": 5.0, "여섯": 6.0,
    "일곱": 7.0, "여덟": 8.0, "아홉": 9.0, "열": 10.0, "몇": 3.0, "일": 1.0, "이": 2.0, "삼": 3.0, "사": 4.0, "반": 0.5,
}  # fmt: skip
_KO_UNITS = {
    "시간": _HOUR, "분": _HOUR / 60, "주일": _WEEK, "주": _WEEK, "일": 1.0, "개월": _MONTH, "달": _MONTH, "년": _YEAR,
}  # fmt: skip
_KO = re.compile(
    rf"(?:(?P<days>{'|'.join(_KO_DAYS)})"
    rf"|(?P<count>\d{{1,3}}(?:\.\d)?|(?<![가-힣])(?:{'|'.join(_KO_NUMBERS)}))\s?(?P<unit>{'|'.join(_KO_UNITS)}))"
    r"\s?(?:정도|쯤|가량|넘게|이상)?\s?(?:전\s?(?:쯤\s?)?(?:부터|시작|발생)|째|동안|간(?![가-힣])|넘게|이상\s?지속|내내)"
)
_KO_SINCE_DAYS = {
    "그저께": 2.0, "그제": 2.0, "엊그제": 2.0, "어제": 1.0, "어젯밤": 1.0, "오늘 아침": 0.5, "오늘": 0.5, "아침": 0.5,
    "지난주": _WEEK, "지난 주": _WEEK, "지난달": _MONTH, "지난 달": _MONTH, "작년": _YEAR, "재작년": 2 * _YEAR,
}  # fmt: skip
_KO_SINCE = re.compile(
    rf"(?<![가-힣])(?P<since>{'|'.join(sorted(_KO_SINCE_DAYS, key=len, reverse=True))})"
    r"(?:\s(?:아침|밤|저녁|새벽|낮|오전|오후|겨울|여름|가을|봄))?부터"
)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[;\n]")


@dataclass(frozen=True, slots=True)
class Duration:
    """Span [start, end) in the normalised text; `days` that it says."""

    start: int
    end: int
    days: float


class Durations:
    """Every duration of a text, and which of them a finding is told with."""

    def __init__(self, text: str) -> None:
        self._found = sorted(_read(text), key=lambda duration: duration.start)
        self._sentences = [0, *(match.end() for match in _SENTENCE.finditer(text))] if self._found else []
        self._starts = [duration.start for duration in self._found]

    def of(self, start: int, end: int) -> float | None:
        """Days of the duration nearest to [start, end) in its sentence; None where there is none."""
        index = bisect_left(self._starts, start)
        near = [item for item in self._found[max(0, index - 1) : index + 2] if self._together(item, start)]
        if not near:
            return None
        return min(near, key=lambda item: max(item.start - end, start - item.end)).days

    def _together(self, duration: Duration, start: int) -> bool:
        low, high = sorted((duration.start, start))
        return bisect_left(self._sentences, low + 1) == bisect_left(self._sentences, high + 1)


def _read(text: str) -> list[Duration]:
    found = [*_english(text), *_korean(text)]
    found.sort(key=lambda duration: (duration.start, -duration.end))
    return [item for before, item in pairwise([Duration(-1, -1, 0.0), *found]) if item.start >= before.end]


def _english(text: str) -> list[Duration]:
    lengths = [
        Duration(*match.span(), _EN_NUMBERS.get(count, 0.0) * _EN_UNITS[unit] or float(count) * _EN_UNITS[unit])
        for match in _EN.finditer(text)
        for count, unit in [(match["count"] or match["count2"], match["unit"] or match["unit2"])]
    ]
    since = [
        Duration(*match.span(), next(days for words, days in _EN_SINCE_DAYS.items() if match.group().endswith(words)))
        for match in _EN_SINCE.finditer(text)
    ]
    return lengths + since


def _korean(text: str) -> list[Duration]:
    found = [Duration(*match.span(), _korean_days(match)) for match in _KO.finditer(text)]
    return found + [Duration(*match.span(), _KO_SINCE_DAYS[match["since"]]) for match in _KO_SINCE.finditer(text)]


def _korean_days(match: re.Match[str]) -> float:
    if match["days"] is not None:
        return _KO_DAYS[match["days"]]
    count = _KO_NUMBERS.get(match["count"])
    return (float(match["count"]) if count is None else count) * _KO_UNITS[match["unit"]]
