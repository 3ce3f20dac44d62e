"""Findings that a number says: "열이 38.5도", "temp 36.8", "HR 132", "산소포화도 88", "BP 84/50".

A temperature below 37.5 denies fever (37.5 to 37.9 is a doubtful one), a saturation of 95 % and more denies hypoxia.
Limits: NEWS2 (Royal College of Physicians 2017) for saturation and low pressure, 100 beats for tachycardia from 12
years on, ESC/ESH 2018 for raised pressure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain import FindingStatus
from app.knowledge import patient_patterns as patterns
from app.knowledge.mention import Mention, measured_mention
from app.knowledge.patient_text import age_in, pressures, spelled_temperatures

_NORMAL_BELOW, _FEVER_FROM = 37.5, 38.0
_OTHER_HEAT = re.compile(
    r"(?:기온|수온|물|날씨|실내|방|사우나|찜질방|술|소주|각도|slr|거상|직거상|굴곡|신전|rom|water|weather|outside|outdoor|oven|sauna|bath|turned|rotat\w*)"
    r"[^.,\n]{0,12}$"
)
_LEAD = 24
_LEGS = re.compile(r"[\s,]{0,2}(?:다리|팔|각도|warm water|turn|angle)")
_GROWN = 12.0


def mentions(text: str) -> Iterator[Mention]:
    """Of normalised `text`; one mention per number."""
    yield from _temperatures(text)
    yield from _saturations(text)
    yield from _heart_rates(text)
    yield from _blood_counts(text)
    for match, systolic, diastolic in pressures(text):
        if systolic >= 140 or diastolic >= 90:
            yield measured_mention("high_blood_pressure", match)
        elif systolic < 90 and _is_grown(text):
            yield measured_mention("low_blood_pressure", match)


def _temperatures(text: str) -> Iterator[Mention]:
    for pattern in patterns.CELSIUS:
        for match in pattern.finditer(text):
            yield from _of_heat(text, match, float(match.group(1)))
    for match, degrees in spelled_temperatures(text):
        yield from _of_heat(text, match, degrees)
    for pattern in patterns.FAHRENHEIT:
        for match in pattern.finditer(text):
            if 86 <= (fahrenheit := float(match.group(1))) <= 111:
                yield from _of_heat(text, match, (fahrenheit - 32) / 1.8)


def _of_heat(text: str, match: re.Match[str], celsius: float) -> Iterator[Mention]:
    if not 34 <= celsius <= 43 or _OTHER_HEAT.search(text[max(0, match.start() - _LEAD) : match.start()]):
        return
    if _LEGS.match(text, match.end()):
        return
    status: FindingStatus = "present" if round(celsius, 1) >= _FEVER_FROM else "uncertain"
    yield measured_mention("fever", match, "absent" if round(celsius, 1) < _NORMAL_BELOW else status)


def _saturations(text: str) -> Iterator[Mention]:
    for match in patterns.SATURATION.finditer(text):
        value = float(match.group(1))
        if 40 <= value < 92 or 95 <= value <= 100:
            yield measured_mention("hypoxia", match, "present" if value < 92 else "absent")


def _heart_rates(text: str) -> Iterator[Mention]:
    for match in patterns.HEART_RATE.finditer(text):
        value = float(match.group(match.lastindex or 1))
        if 20 <= value <= 49:
            yield measured_mention("bradycardia", match, "present")
        elif 100 < value <= 300 and _is_grown(text):
            yield measured_mention("tachycardia", match, "present")


_AMOUNT = (
    r"(?:\s?(?:count|수치|수|is|are|was|는|은|이|가|:|=|at))?\s{0,2}(\d{1,3}(?:,\d{3})+|\d{1,6}(?:\.\d{1,2})?)(?!\d|,\d|%)"
    r"(?:\s?(k\b|만|천))?(?!\s?(?:세|살|년|일|/))"
)
_PLATELETS = re.compile(rf"(?:\bplt|\bplatelets?|혈소판){_AMOUNT}")
_WHITE_CELLS = re.compile(rf"(?:(?<!csf )(?<!urine )\bwbc|\bwcc|\bwhite (?:cells?|count)|백혈구){_AMOUNT}")
_HEMOGLOBIN = re.compile(rf"(?:\bhb|\bhgb|\bha?emoglobin|혈색소){_AMOUNT}")
_FLUID = re.compile(
    r"(?:관절액|천자|뇌척수액|흉수|복수|활액|요검사|aspirat|effusion|csf|synovial|fluid|tap|urine|u/a)[^.;\n]{0,40}$"
)
_UNITS = {"k": 1_000.0, "만": 10_000.0, "천": 1_000.0}


def _blood_counts(text: str) -> Iterator[Mention]:
    """Platelets below 100 000, white cells below 4 000 per microlitre, haemoglobin below 10 g/dl (100 g/l)."""
    for match in _PLATELETS.finditer(text):
        if (value := _per_microlitre(match, 1_000.0)) is not None and 1_000 <= value < 100_000:
            yield measured_mention("low_platelets", match, "present")
    for match in _WHITE_CELLS.finditer(text):
        if _FLUID.search(text[max(0, match.start() - 48) : match.start()]):
            continue
        if (value := _per_microlitre(match, 50.0)) is not None and 100 <= value < 4_000:
            yield measured_mention("low_white_cells", match, "present")
    for match in _HEMOGLOBIN.finditer(text):
        value = float(match.group(1).replace(",", ""))
        if not match.group(2) and (2 <= value < 10 or 20 <= value < 100):
            yield measured_mention("low_hemoglobin", match, "present")


def _per_microlitre(match: re.Match[str], largest_in_thousands: float) -> float | None:
    """A count as written (1,400, 1.9, 72k, 6만); a small number is in thousands."""
    value = float(match.group(1).replace(",", ""))
    if match.group(2):
        return value * _UNITS[match.group(2)]
    return value * 1_000.0 if value < largest_in_thousands else value


def _is_grown(text: str) -> bool:
    years = age_in(text)
    return years is None or years >= _GROWN
