"""Age, sex and vital signs that a text states in so many words, in either language.

Conservative: what is doubtful is left out, and so are values that no living patient has. Used only where the request's
own patient fields are empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.domain import Patient, Sex, Vitals
from app.knowledge import patient_patterns as patterns
from app.knowledge.normalise import normalise

OLDEST = 115
_UNITS = {"백": 100, "십": 10}
_DIGITS = "일이삼사오육칠팔구"


def extract_patient(text: str) -> Patient:
    """Reads `text`; linear in its length. Fields that it does not state are None."""
    plain = normalise(text).text
    return Patient(age=age_in(plain), sex=_sex(plain), vitals=_vitals(plain), pain=_pain(plain))


def age_in(text: str) -> float | None:
    """Years, of normalised `text`."""
    if patterns.OF_A_MOTHER.search(text) is None and (age := _childs_age(text)) is not None:
        return round(age, 3)
    found = [match for pattern in patterns.YEARS if (match := pattern.search(text))]
    if found:
        age = float(min(found, key=lambda match: match.start()).group(1))
        return age if age <= OLDEST else None
    for match in patterns.SPELLED_KO.finditer(text):
        if match.group(1) or match.group(2):
            return patterns.KO_TENS.get(match.group(1), 0.0) + patterns.KO_ONES.get(match.group(2), 0.0)
    decade = patterns.DECADE.search(text)
    return float(decade.group(1)) + 5 if decade else None


def _childs_age(text: str) -> float | None:
    """Days, weeks and months, and what is told without a number (돌 지난)."""
    for pattern, years in patterns.SMALL_UNITS:
        if match := pattern.search(text):
            return float(match.group(match.lastindex or 1)) * years
    if (spelled := patterns.SPELLED_EN.search(text)) is not None:
        return patterns.EN_COUNTS[spelled.group(1)] * patterns.EN_UNITS[spelled.group(2)]
    named = next((age for pattern, age in patterns.NAMED_AGES if pattern.search(text)), None)
    if named is not None or patterns.UNBORN.search(text) is not None:
        return named
    if any(pattern.search(text) for pattern in patterns.YEARS):
        return None
    return next((age for pattern, age in patterns.YOUNG if pattern.search(text)), None)


def _sex(text: str) -> Sex | None:
    """The sex stated by the surest kind of phrase; None where two phrases of that kind disagree."""
    for index in range(0, len(patterns.SEXES), 2):
        stated = {sex for sex, pattern in patterns.SEXES[index : index + 2] if pattern.search(text)}
        if stated:
            return next(iter(stated)) if len(stated) == 1 else None
    return None


def _vitals(text: str) -> Vitals:
    systolic, diastolic = _blood_pressure(text)
    return Vitals(
        sbp=systolic,
        dbp=diastolic,
        heart_rate=_number(text, (patterns.HEART_RATE,), 20, 300),
        respiratory_rate=_number(text, (patterns.BREATHING_RATE,), 4, 80),
        temperature=_temperature(text),
        spo2=_number(text, (patterns.SATURATION,), 40, 100),
    )


def _blood_pressure(text: str) -> tuple[float | None, float | None]:
    for _, systolic, diastolic in pressures(text):
        return systolic, diastolic
    return _number(text, (patterns.SYSTOLIC,), 40, 300), None


def pressures(text: str) -> Iterator[tuple[re.Match[str], float, float]]:
    """(where, systolic, diastolic) of every plausible pair in normalised `text`, the surest kind of phrase first."""
    for pattern in patterns.PRESSURE:
        for match in pattern.finditer(text):
            systolic, diastolic = float(match.group(1)), float(match.group(2))
            if _is_pressure(systolic, diastolic):
                yield match, systolic, diastolic
    for match in patterns.SPELLED_PRESSURE.finditer(text):
        systolic, diastolic = _in_words(match.group(1)), _in_words(match.group(2))
        if _is_pressure(systolic, diastolic):
            yield match, systolic, diastolic


def _is_pressure(systolic: float, diastolic: float) -> bool:
    return 40 <= systolic <= 300 and 20 <= diastolic <= 200 and diastolic < systolic


def _in_words(numeral: str) -> float:
    """The value of a Korean number below a thousand: 이백이십 is 220."""
    value, digit = 0, 0
    for syllable in numeral:
        if syllable in _UNITS:
            value += max(digit, 1) * _UNITS[syllable]
            digit = 0
        else:
            digit = _DIGITS.index(syllable) + 1
    return float(value + digit)


def _temperature(text: str) -> float | None:
    celsius = _number(text, patterns.CELSIUS, 30, 44)
    if celsius is not None:
        return celsius
    for _, degrees in spelled_temperatures(text):
        return degrees
    fahrenheit = _number(text, patterns.FAHRENHEIT, 86, 111)
    return None if fahrenheit is None else round((fahrenheit - 32) / 1.8, 1)


def spelled_temperatures(text: str) -> Iterator[tuple[re.Match[str], float]]:
    """(where, degrees Celsius) of temperatures in Korean words in normalised `text`."""
    for match in patterns.SPELLED_CELSIUS.finditer(text):
        yield match, _in_words(match.group(1)) + _in_words(match.group(2) or match.group(3) or "") / 10


def _number(text: str, alternatives: Iterable[re.Pattern[str]], low: float, high: float) -> float | None:
    """The first plausible value that one of `alternatives` finds."""
    for pattern in alternatives:
        for match in pattern.finditer(text):
            value = float(match.group(match.lastindex or 1))
            if low <= value <= high:
                return value
    return None


def _pain(text: str) -> int | None:
    match = patterns.PAIN.search(text)
    if match is None:
        return None
    value = int(match.group(1) or match.group(2))
    return value if value <= 10 else None
