"""National Early Warning Score 2 (Royal College of Physicians, December 2017), on SpO2 scale 1.

Computed from 16 years on, outside of pregnancy, and only where all five measured parameters are known: the charter
excludes the others. Consciousness and oxygen that nobody stated score 0, and the score is then a lower bound
(`complete` false where consciousness is not known): what is missing could only raise it, so its floor holds.
Scale 2 (hypercapnic respiratory failure, a target of 88-92 %) is a prescriber's decision and is not used.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from app.domain import ClinicalScore, Consciousness, Language, Patient, RiskLevel

SOURCE = "Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017"
YOUNGEST = 16.0
"""Years: the score is not for children."""
ON_OXYGEN = 2
NOT_ALERT = 3

News2Level = Literal["low", "low_medium", "medium", "high"]


@dataclass(frozen=True, slots=True)
class _Bands:
    """Points of the bands of one parameter. A band holds its lower edge: `edges[i]` opens band i + 1."""

    edges: tuple[float, ...]
    points: tuple[int, ...]
    step: float
    """The charter's resolution: what is measured finer is rounded to it first."""

    def score(self, value: float) -> int:
        rounded = round(round(value / self.step) * self.step, 1)
        return self.points[bisect_right(self.edges, rounded)]


RESPIRATION = _Bands((9, 12, 21, 25), (3, 1, 0, 2, 3), 1)
OXYGEN_SATURATION = _Bands((92, 94, 96), (3, 2, 1, 0), 1)
SYSTOLIC_PRESSURE = _Bands((91, 101, 111, 220), (3, 2, 1, 0, 3), 1)
PULSE = _Bands((41, 51, 91, 111, 131), (3, 1, 0, 1, 2, 3), 1)
TEMPERATURE = _Bands((35.1, 36.1, 38.1, 39.1), (3, 1, 0, 1, 2), 0.1)


@dataclass(frozen=True, slots=True)
class News2:
    """`value` 0 to 20."""

    value: int
    level: News2Level
    complete: bool
    """False where the level of consciousness is not known: the value is a lower bound."""


def news2(patient: Patient, *, confused: bool = False, on_oxygen: bool = False, pregnant: bool = False) -> News2 | None:
    """None where the charter does not apply or a measurement is missing. `confused`: newly, the C of ACVPU."""
    vitals = patient.vitals
    if patient.age is None or patient.age < YOUNGEST or pregnant:
        return None
    if (
        vitals.respiratory_rate is None
        or vitals.spo2 is None
        or vitals.sbp is None
        or vitals.heart_rate is None
        or vitals.temperature is None
    ):
        return None
    parts = (
        RESPIRATION.score(vitals.respiratory_rate),
        OXYGEN_SATURATION.score(vitals.spo2),
        ON_OXYGEN if on_oxygen else 0,
        SYSTOLIC_PRESSURE.score(vitals.sbp),
        PULSE.score(vitals.heart_rate),
        consciousness_points(patient.consciousness, confused=confused),
        TEMPERATURE.score(vitals.temperature),
    )
    return News2(sum(parts), _level(parts), patient.consciousness is not None or confused)


def consciousness_points(consciousness: Consciousness | None, *, confused: bool) -> int:
    """ACVPU: new confusion, or a response to voice or pain only, or none."""
    return NOT_ALERT if confused or consciousness not in (None, "alert") else 0


def _level(parts: tuple[int, ...]) -> News2Level:
    """The charter's clinical risk: 7 high, 5 medium, 3 in a single parameter low-medium."""
    value = sum(parts)
    if value >= 7:
        return "high"
    if value >= 5:
        return "medium"
    return "low_medium" if 3 in parts else "low"


_FLOORS: dict[News2Level, tuple[RiskLevel, int]] = {
    "low": ("low", 5),
    "low_medium": ("moderate", 3),
    "medium": ("high", 3),
    "high": ("critical", 2),
}
"""Lowest risk level and least urgent triage level of an answer: urgent review, urgent response, emergency response."""

_RESPONSES: dict[News2Level, dict[Language, str]] = {
    "low": {"en": "low clinical risk", "ko": "임상 위험 낮음"},
    "low_medium": {
        "en": "low-medium clinical risk; one parameter alone scores 3, a clinician should review urgently",
        "ko": "임상 위험 낮음~중간, 한 항목이 3점이므로 의료진이 신속히 확인해야 합니다",
    },
    "medium": {
        "en": "medium clinical risk; urgent assessment by a clinician",
        "ko": "임상 위험 중간, 의료진의 신속한 평가가 필요합니다",
    },
    "high": {
        "en": "high clinical risk; emergency assessment and continuous monitoring",
        "ko": "임상 위험 높음, 즉각적인 응급 평가와 지속적인 활력징후 감시가 필요합니다",
    },
}
_LOWER_BOUND: dict[Language, str] = {
    "en": "level of consciousness not stated: at least this score",
    "ko": "의식 수준이 입력되지 않아 최소 점수입니다",
}


def as_score(result: News2, language: Language) -> ClinicalScore:
    """Worded for an answer, with the floor that it sets."""
    floor, triage = _FLOORS[result.level]
    said = f"NEWS2 {result.value}: " if language == "en" else f"NEWS2 {result.value}점: "
    detail = said + _RESPONSES[result.level][language]
    if not result.complete:
        detail += f" ({_LOWER_BOUND[language]})"
    return ClinicalScore("NEWS2", result.value, result.level, result.complete, floor, triage, detail, SOURCE)
