"""Findings that a laboratory value or a score says: "혈당 42", "BG 18.2 mmol/L", "GCS 7", "COHb 26%", "lactate 4.6".

Sugar: low under 70 mg/dl (3.9 mmol/l), high from 200 (11.1), fasting from 126; HbA1c from 6.5 % (ADA Standards of Care
2024). Ketones from 1.5 mmol/l, acidosis under pH 7.30 (JBDS 2023); carboxyhaemoglobin from 10 % (UKHSA 2023); lactate
over 2 mmol/l (Surviving Sepsis 2021); the Glasgow Coma Scale by the bands of NICE NG232; urine left after voiding from
150 ml (a working limit, none is agreed on). Read on normalised text, every repetition bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.knowledge.mention import Mention, measured_mention

_BETWEEN = (
    r"(?:\s?(?:level|levels|reading|readings|was|is|of|reads?|at|been|in the|around|about|came back|says|only|just"
    r"|mostly|dropped to|down to|up to|now|[:=~])){0,3}\s?"
)
_SUGAR_EN = re.compile(
    r"(?<![a-z])(fasting\s)?(?:blood\s)?(?:sugars?|glucose|gluc|r?bgl?|fbs|bsl|cbg|bm|(?:glucose\s)?meter)(?![a-z])"
    rf"{_BETWEEN}(\d{{1,3}}(?:\.\d{{1,2}})?)(?![\d%]|\s?(?:%|times|x|years?|weeks?|days?|hours?|spoon|tea))\s?(mmol|mg)?"
)
_SUGAR_KO = re.compile(
    r"(공복\s?(?:시\s?)?)?(?:혈당|당\s?수치|bst)(?:이|은|을|도|가|치|계|기)?(?:에서|로|가)?\s?"
    r"(?:[가-힣]{1,4}\s){0,2}(\d{2,3})(?![\d.%]|\s?(?:번|회|일|시간|분|년|개월|%))(?:도\s?(?:안|채))?"
)
_PRESSURE = re.compile(
    r"혈압(?:이|은|을|도)?\s?(?:재|쟀|측정)?[가-힣]{0,5}\s?(?:수축기\s)?(\d{2,3})(?:도\s?(?:안|채\s?안)|(?=\s?(?:밖에|나오|나와|나왔|이하|미만|까지)|이래|이에요|입니다))"
)
_SHARE = re.compile(
    r"(?<![a-z])(?:hb)?a1c(?:가|이|은|는)?\s?[:=]?\s?(\d{1,3}(?:\.\d)?)|당화\s?혈색소(?:가|이|는)?\s?(\d{1,2}(?:\.\d)?)"
)
_KETONES = re.compile(
    r"(?:ketones?|케톤(?:체|이|은|가)?|bhb|beta-hydroxybutyrate|bohb)(?:\s?(?:are|is|of|at|were|now|[:=]))?\s?(\d{1,2}\.\d{1,2})(?!\d)"
)
_PH = re.compile(r"(?<![a-z])(?<!urine\s)(?<!소변\s)ph\s?[:=]?\s?(?:of\s)?(6\.[7-9]\d?|7\.[0-7]\d?)(?!\d)")
_CARBOXY = re.compile(
    r"(?:cohb|carboxyh\w{6,14}|일산화탄소\s?헤모글로빈)(?:이|가|은)?\s?(?:level|of|is|was|[:=])?\s?(\d{1,2}(?:\.\d)?)(?![\d.])"
)
_LACTATE = re.compile(r"(?:lactate|lac(?=\s\d)|젖산(?:염|이|은)?)\s?(?:of|is|was|level|[:=])?\s?(\d{1,2}\.\d)(?!\d)")
_RESIDUAL = re.compile(
    r"(?:post-?\s?void(?:ing)?\s(?:residual|residue|volume)|\bpvr|\bresidual(?:\surine|\svolume)?|\bbladder\sscan"
    r"|(?:배뇨\s?후\s?)?잔뇨(?:량|이|가|는|은)?)(?:\s?(?:urine|volume|of|is|was|at|on|showed|shows|가|이|은|는|[:=~])){0,3}?"
    r"\s?(\d{1,4})\s?(?:ml|cc|밀리)"
)
_COMA = re.compile(r"(?<![a-z])gcs(?:가|이|는|은)?\s?(?:score|of|is|was|[:=])?\s?(\d{1,2})(?!\d|\.\d)")
_MMOL = 18.0


def mentions(text: str) -> Iterator[Mention]:
    """Of normalised `text`; one mention per value that means something."""
    for match in _SUGAR_EN.finditer(text):
        milligrams = _milligrams(float(match.group(2)), "." in match.group(2), match.group(3))
        if milligrams is not None:
            yield from _of_sugar(match, milligrams, fasting=match.group(1) is not None or "fbs" in match.group())
    for match in _SUGAR_KO.finditer(text):
        yield from _of_sugar(match, float(match.group(2)), fasting=match.group(1) is not None)
    for match in _SHARE.finditer(text):
        value = float(match.group(match.lastindex or 1))
        if 6.5 <= value <= 18 or 48 <= value <= 150:
            yield measured_mention("hyperglycemia", match)
    for match in _PRESSURE.finditer(text):
        if 40 <= float(match.group(1)) < 90 or (match.group(1) == "90" and match.group().endswith("안")):
            yield measured_mention("low_blood_pressure", match)
    yield from _above(text, _KETONES, "ketosis", 1.5, normal_below=0.6)
    yield from _above(text, _CARBOXY, "carbon_monoxide_exposure", 10.0)
    yield from _above(text, _LACTATE, "raised_lactate", 2.1)
    for match in _PH.finditer(text):
        if float(match.group(1)) < 7.3:
            yield measured_mention("acidosis", match)
    yield from _above(text, _RESIDUAL, "urinary_retention", 150.0, normal_below=100.0)
    for match in _COMA.finditer(text):
        score = int(match.group(1))
        if 3 <= score <= 14:
            yield measured_mention(
                "loss_of_consciousness" if score <= 8 else "drowsiness" if score <= 12 else "confusion", match
            )


def _milligrams(value: float, decimal: bool, unit: str | None) -> float | None:
    """A reading of sugar in mg/dl; None where the unit is neither given nor plain from the value."""
    if unit == "mmol" or (unit is None and (decimal or value < 20)):
        return value * _MMOL if 1.0 <= value <= 60 else None
    return value if unit == "mg" or value >= 36 else None


def _of_sugar(match: re.Match[str], milligrams: float, *, fasting: bool) -> Iterator[Mention]:
    if 10 <= milligrams < 70:
        yield measured_mention("hypoglycemia", match)
    elif (126 if fasting else 199.5) <= milligrams <= 1500:
        yield measured_mention("hyperglycemia", match)


def _above(
    text: str, pattern: re.Pattern[str], finding_id: str, limit: float, normal_below: float | None = None
) -> Iterator[Mention]:
    for match in pattern.finditer(text):
        value = float(match.group(1))
        if value >= limit:
            yield measured_mention(finding_id, match)
        elif normal_below is not None and value < normal_below:
            yield measured_mention(finding_id, match, "absent")
