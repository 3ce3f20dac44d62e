"""Age, sex and vital signs that a text states in so many words, in either language. Conservative: what is doubtful is left out.

Used only where the request's own patient fields are empty. Values outside what a living patient can have are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.domain import Patient, Sex, Vitals
from app.knowledge.normalise import normalise

_IS = r"[\s:=~]{0,3}(?:is|was|of|at|about|around|to|이|은|는|가|약|이약|수는|수가|수)?[\s:=]{0,3}(?:약|about)?\s?"
_RELATIVE_NEXT = (
    r"(?!\s?(?:(?:man|woman|male|female)\s)?(?:mother|father|mom|dad|brother|sister|husband|wife|friend|grand|uncle|aunt|cousin|parent)"
    r"|\s?(?:된\s|인\s)?(?:어머니|아버지|엄마|아빠|남편|아내|할머니|할아버지|동생|오빠|언니|누나|형|친구))"
)

_YEARS = (
    re.compile(rf"\b(\d{{1,3}})\s?-?\s?(?:years?|yrs?)\s?-?\s?(?:old|of age){_RELATIVE_NEXT}"),
    re.compile(r"\b(\d{1,3})\s?(?:y/o|yo|y\.o\.)(?![a-z])"),
    re.compile(r"\b(\d{1,3})\s?/?\s?[mf](?![a-z0-9/])"),
    re.compile(r"(?<![a-z])[mf]\s?/\s?(\d{1,3})(?![\d/])"),
    re.compile(r"(?<![가-힣])[남여]\s?/\s?(\d{1,3})(?![\d/])"),
    re.compile(r"\b(?:aged?|age is|age:)\s?(\d{1,3})(?![\d-])"),
    re.compile(r"\bi(?:'m| am)\s(?:a\s)?(\d{1,3})(?=\s?(?:[,.;]|and\b|male\b|female\b|$))"),
    re.compile(
        rf"(?<!\d)(\d{{1,3}})\s?(?:세|살)(?!\s?(?:때|부터|이후|무렵|이전|까지|빠|쪘|쯤에|연상|연하|차이|미만|이상)){_RELATIVE_NEXT}"
    ),
    re.compile(r"(?:나이|연령)\s?[:=은는]?\s?(\d{1,3})"),
)
_DECADE = re.compile(r"(?<!\d)([1-9]0)대\s?(?:초반|중반|후반)?\s?(?:남|여|환자|주부|직장인)")
_SMALL_UNITS = (
    (re.compile(r"\b(\d{1,2})\s?-?\s?months?\s?-?\s?old"), 1 / 12),
    (re.compile(r"\b(\d{1,2})\s?-?\s?weeks?\s?-?\s?old"), 7 / 365.25),
    (re.compile(r"\b(\d{1,2})\s?-?\s?days?\s?-?\s?old"), 1 / 365.25),
    (re.compile(r"생후\s?(\d{1,2})\s?(?:개월|달)"), 1 / 12),
    (re.compile(r"생후\s?(\d{1,2})\s?주"), 7 / 365.25),
    (re.compile(r"생후\s?(\d{1,2})\s?일"), 1 / 365.25),
    (
        re.compile(r"(?<!\d)(\d{1,2})\s?개월\s?(?:된\s?)?(?:아기|아이|영아|유아|남아|여아|아들|딸|남자아이|여자아이)"),
        1 / 12,
    ),
)
_AGED = r"(?:(?:years?|yrs?|months?|weeks?|days?)\s?-?\s?old|y/o|yo|\d{1,3}\s?(?:세|살|개월)(?:\s?된)?(?:의)?|[1-9]0대(?:\s?[초중후]반)?(?:의)?)"
_SEXES: tuple[tuple[Sex, re.Pattern[str]], ...] = (
    ("female", re.compile(rf"{_AGED}[\s,-]{{0,2}}(?:\w+\s)?(?:woman|female|girl|lady)\b")),
    ("male", re.compile(rf"{_AGED}[\s,-]{{0,2}}(?:\w+\s)?(?:man|male|boy|gentleman)\b")),
    (
        "female",
        re.compile(rf"{_AGED}[\s,]{{0,2}}(?:미혼\s|기혼\s)?(?:여성|여자|여아|여학생|여환|딸|주부|임산부|임신부)"),
    ),
    ("male", re.compile(rf"{_AGED}[\s,]{{0,2}}(?:미혼\s|기혼\s)?(?:남성|남자|남아|남학생|남환|아들)")),
    (
        "female",
        re.compile(
            r"\bi(?:'m| am) an? (?:\w+ )?(?:woman|female|girl)\b|\b(?:sex|gender)\s?[:=]\s?f(?:emale)?\b|\bpatient is (?:a )?female\b"
        ),
    ),
    (
        "male",
        re.compile(
            r"\bi(?:'m| am) an? (?:\w+ )?(?:man|male|guy|boy)\b|\b(?:sex|gender)\s?[:=]\s?m(?:ale)?\b|\bpatient is (?:a )?male\b"
        ),
    ),
    (
        "female",
        re.compile(r"(?<![가-힣])(?:여성|여자)(?:입니다|이에요|예요|이고|인데|\s?환자)|(?:성별)\s?[:=은]?\s?여"),
    ),
    ("male", re.compile(r"(?<![가-힣])(?:남성|남자)(?:입니다|이에요|예요|이고|인데|\s?환자)|(?:성별)\s?[:=은]?\s?남")),
    (
        "female",
        re.compile(r"\b\d{1,3}\s?/?\s?f(?![a-z0-9/])|(?<![a-z])f\s?/\s?\d{1,3}(?![\d/])|(?<![가-힣])여\s?/\s?\d{1,3}"),
    ),
    (
        "male",
        re.compile(r"\b\d{1,3}\s?/?\s?m(?![a-z0-9/])|(?<![a-z])m\s?/\s?\d{1,3}(?![\d/])|(?<![가-힣])남\s?/\s?\d{1,3}"),
    ),
)
_PRESSURE = (
    re.compile(rf"(?:\bbp|blood pressure|혈압){_IS}(\d{{2,3}})\s?(?:/|over|에서|에)\s?(\d{{2,3}})"),
    re.compile(r"(?<![\d/])(\d{2,3})\s?/\s?(\d{2,3})\s?mm\s?hg"),
)
_SYSTOLIC = re.compile(rf"(?:\bsbp|systolic(?: blood pressure| bp)?|수축기\s?혈압|수축기){_IS}(\d{{2,3}})(?!\d|\.\d)")
_HEART_RATE = re.compile(
    rf"(?:\bhr|\bpr|heart ?rate|pulse(?: rate)?|맥박|심박동|심박){_IS}(?:분당\s?)?(\d{{2,3}})(?!\d|\.\d|\s?/\s?\d)"
)
_BREATHING_RATE = re.compile(
    rf"(?:\brr|resp(?:iratory|iration)? rate|respirations|호흡\s?수|호흡){_IS}(?:분당\s?)?(\d{{1,2}})(?!\d|\.\d|\s?/\s?\d)"
)
_SATURATION = re.compile(
    rf"(?:\bsp[o0]2|\bsao2|\bo2 sat(?:uration)?s?|oxygen (?:saturation|sats?|level)|\bsats?|saturation|산소\s?포화도|포화도){_IS}(\d{{2,3}}(?:\.\d)?)(?!\d)\s?%?"
)
_CELSIUS = (
    re.compile(
        rf"(?:\bbt|\btemp(?:erature)?|체온|고열|열|fever){_IS}(\d{{2}}(?:\.\d{{1,2}})?)(?!\d)(?!\s?(?:일|시간|분|년|주|개월|days?|hours?|weeks?|f\b|°f|%))"
    ),
    re.compile(
        r"(?<![\d.])(3[4-9](?:\.\d{1,2})?|4[0-3](?:\.\d{1,2})?)\s?(?:도(?![가-힣])|도(?=[가씨까정를의로 ])|°\s?c?(?!f)\b|degrees?\s?c|c(?![a-z]))"
    ),
)
_FAHRENHEIT = (
    re.compile(rf"(?:\btemp(?:erature)?|fever){_IS}(\d{{2,3}}(?:\.\d)?)(?!\d|\.\d)"),
    re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d)?)\s?(?:°\s?f|degrees?\s?f|f\b)"),
)
_PAIN = re.compile(
    r"(?:pain|hurts|nrs|vas|통증|아픔)[^0-9\n.]{0,24}(\d{1,2})\s?(?:/|out of)\s?10(?!\d)|통증\s?(?:점수)?\s?(\d{1,2})\s?점"
)


def extract_patient(text: str) -> Patient:
    """Reads `text`; linear in its length. Fields that it does not state are None."""
    plain = normalise(text).text
    return Patient(age=_age(plain), sex=_sex(plain), vitals=_vitals(plain), pain=_pain(plain))


def _age(text: str) -> float | None:
    for pattern, years in _SMALL_UNITS:
        if match := pattern.search(text):
            return round(float(match.group(1)) * years, 3)
    found = [match for pattern in _YEARS if (match := pattern.search(text))]
    if found:
        age = float(min(found, key=lambda match: match.start()).group(1))
        return age if age <= 115 else None
    decade = _DECADE.search(text)
    return float(decade.group(1)) + 5 if decade else None


def _sex(text: str) -> Sex | None:
    """The sex stated first by the surest kind of phrase; None where two kinds of the same sureness disagree."""
    for index in range(0, len(_SEXES), 2):
        stated = {sex for sex, pattern in _SEXES[index : index + 2] if pattern.search(text)}
        if stated:
            return next(iter(stated)) if len(stated) == 1 else None
    return None


def _vitals(text: str) -> Vitals:
    systolic, diastolic = _blood_pressure(text)
    return Vitals(
        sbp=systolic,
        dbp=diastolic,
        heart_rate=_number(text, (_HEART_RATE,), 20, 300),
        respiratory_rate=_number(text, (_BREATHING_RATE,), 4, 80),
        temperature=_temperature(text),
        spo2=_number(text, (_SATURATION,), 40, 100),
    )


def _blood_pressure(text: str) -> tuple[float | None, float | None]:
    for pattern in _PRESSURE:
        for match in pattern.finditer(text):
            systolic, diastolic = float(match.group(1)), float(match.group(2))
            if 40 <= systolic <= 300 and 20 <= diastolic <= 200 and diastolic < systolic:
                return systolic, diastolic
    return _number(text, (_SYSTOLIC,), 40, 300), None


def _temperature(text: str) -> float | None:
    celsius = _number(text, _CELSIUS, 30, 44)
    if celsius is not None:
        return celsius
    fahrenheit = _number(text, _FAHRENHEIT, 86, 111)
    return None if fahrenheit is None else round((fahrenheit - 32) / 1.8, 1)


def _number(text: str, patterns: Iterable[re.Pattern[str]], low: float, high: float) -> float | None:
    """The first plausible value that one of `patterns` finds."""
    for pattern in patterns:
        for match in pattern.finditer(text):
            value = float(match.group(1))
            if low <= value <= high:
                return value
    return None


def _pain(text: str) -> int | None:
    match = _PAIN.search(text)
    if match is None:
        return None
    value = int(match.group(1) or match.group(2))
    return value if value <= 10 else None
