"""NEWS2 against the charter of the Royal College of Physicians (2017): every edge of every band."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain import Consciousness, Finding, Patient, Vitals
from app.knowledge.base import KnowledgeBase
from app.knowledge.news2 import SOURCE, as_score, consciousness_points, news2

NORMAL = Vitals(sbp=120, dbp=80, heart_rate=70, respiratory_rate=16, temperature=36.8, spo2=98)
ADULT = Patient(age=50, vitals=NORMAL, consciousness="alert")

EDGES = [
    *[("respiratory_rate", value, points) for value, points in [(8, 3), (9, 1), (11, 1), (12, 0), (20, 0)]],
    *[("respiratory_rate", value, points) for value, points in [(21, 2), (24, 2), (25, 3), (60, 3), (0, 3)]],
    *[("spo2", value, points) for value, points in [(70, 3), (91, 3), (92, 2), (93, 2), (94, 1), (95, 1), (96, 0)]],
    ("spo2", 100, 0),
    *[("sbp", value, points) for value, points in [(60, 3), (90, 3), (91, 2), (100, 2), (101, 1), (110, 1), (111, 0)]],
    *[("sbp", value, points) for value, points in [(219, 0), (220, 3), (260, 3)]],
    *[("heart_rate", value, points) for value, points in [(30, 3), (40, 3), (41, 1), (50, 1), (51, 0), (90, 0)]],
    *[("heart_rate", value, points) for value, points in [(91, 1), (110, 1), (111, 2), (130, 2), (131, 3), (200, 3)]],
    *[("temperature", value, points) for value, points in [(32.0, 3), (35.0, 3), (35.1, 1), (36.0, 1), (36.1, 0)]],
    *[("temperature", value, points) for value, points in [(38.0, 0), (38.1, 1), (39.0, 1), (39.1, 2), (41.5, 2)]],
    # finer than the charter: to its resolution first
    *[("temperature", value, points) for value, points in [(38.04, 0), (38.06, 1), (39.04, 1), (35.04, 3)]],
    *[("spo2", value, points) for value, points in [(91.4, 3), (91.6, 2), (95.6, 0)]],
    *[("respiratory_rate", value, points) for value, points in [(20.4, 0), (20.6, 2)]],
]


def _with(**vitals: float | None) -> Patient:
    return replace(ADULT, vitals=replace(NORMAL, **vitals))


@pytest.mark.parametrize(("name", "value", "points"), EDGES)
def test_every_band_edge(name: str, value: float, points: int) -> None:
    result = news2(_with(**{name: value}))
    assert result is not None
    assert result.value == points


def test_all_normal_is_zero() -> None:
    result = news2(ADULT)
    assert result is not None
    assert (result.value, result.level, result.complete) == (0, "low", True)


@pytest.mark.parametrize(
    ("consciousness", "confused", "points"),
    [
        ("alert", False, 0),
        ("alert", True, 3),
        ("verbal", False, 3),
        ("pain", False, 3),
        ("unresponsive", False, 3),
        (None, False, 0),
        (None, True, 3),
    ],
)
def test_consciousness(consciousness: Consciousness | None, confused: bool, points: int) -> None:
    assert consciousness_points(consciousness, confused=confused) == points
    result = news2(replace(ADULT, consciousness=consciousness), confused=confused)
    assert result is not None
    assert result.value == points
    assert result.complete is (consciousness is not None or confused)


def test_oxygen_adds_two() -> None:
    result = news2(ADULT, on_oxygen=True)
    assert result is not None
    assert result.value == 2


LEVELS = [
    ({"heart_rate": 95, "respiratory_rate": 22, "temperature": 38.5}, 4, "low", "low", 5),
    ({"heart_rate": 135}, 3, "low_medium", "moderate", 3),
    ({"heart_rate": 135, "temperature": 38.5}, 4, "low_medium", "moderate", 3),
    ({"heart_rate": 115, "respiratory_rate": 22, "temperature": 38.5}, 5, "medium", "high", 3),
    ({"heart_rate": 115, "respiratory_rate": 22, "temperature": 39.5}, 6, "medium", "high", 3),
    ({"heart_rate": 115, "respiratory_rate": 22, "temperature": 39.5, "sbp": 105}, 7, "high", "critical", 2),
    (
        {"sbp": 85, "heart_rate": 135, "respiratory_rate": 30, "spo2": 88, "temperature": 39.5},
        14,
        "high",
        "critical",
        2,
    ),
]


@pytest.mark.parametrize(("vitals", "value", "level", "floor", "triage"), LEVELS)
def test_thresholds_set_the_floor(vitals: dict[str, float], value: int, level: str, floor: str, triage: int) -> None:
    result = news2(_with(**vitals))
    assert result is not None
    score = as_score(result, "en")
    assert (score.value, score.level, score.floor, score.triage) == (value, level, floor, triage)
    assert (score.name, score.source) == ("NEWS2", SOURCE)


def test_the_worst_is_twenty() -> None:
    worst = replace(_with(sbp=80, heart_rate=140, respiratory_rate=30, spo2=85, temperature=34), consciousness="pain")
    result = news2(worst, on_oxygen=True)
    assert result is not None
    assert result.value == 20


@pytest.mark.parametrize("missing", ["respiratory_rate", "spo2", "sbp", "heart_rate", "temperature"])
def test_nothing_with_a_measurement_missing(missing: str) -> None:
    assert news2(_with(**{missing: None})) is None


@pytest.mark.parametrize(("age", "computed"), [(None, False), (0.5, False), (15.9, False), (16, True), (95, True)])
def test_only_from_sixteen_years(age: float | None, computed: bool) -> None:
    assert (news2(replace(ADULT, age=age)) is not None) is computed


def test_not_in_pregnancy() -> None:
    assert news2(ADULT, pregnant=True) is None


def test_worded_in_both_languages_and_as_a_lower_bound() -> None:
    result = news2(replace(_with(respiratory_rate=30, heart_rate=120, spo2=93), consciousness=None))
    assert result is not None
    english, korean = as_score(result, "en"), as_score(result, "ko")
    assert english.detail.startswith("NEWS2 7: high clinical risk")
    assert korean.detail.startswith("NEWS2 7점: 임상 위험 높음")
    assert "at least" in english.detail
    assert "최소 점수" in korean.detail
    assert english.complete is False


@pytest.mark.parametrize(
    ("said", "value"),
    [("", 0), ("confusion", 3), ("-confusion", 0), ("supplemental_oxygen", 2), ("-supplemental_oxygen", 0)],
)
def test_what_the_text_says_counts(knowledge: KnowledgeBase, said: str, value: int) -> None:
    findings = [Finding(word.lstrip("-"), not word.startswith("-"), word, 0, len(word)) for word in said.split()]
    assert [score.value for score in knowledge.scores(findings, ADULT)] == [value]


def test_no_score_for_a_pregnant_patient_of_the_text(knowledge: KnowledgeBase) -> None:
    assert knowledge.scores([Finding("pregnancy", True, "pregnant", 0, 8)], ADULT) == ()


@pytest.mark.parametrize(
    "text",
    [
        "on 3 L of oxygen by nasal cannula",
        "비강 캐뉼라로 산소 투여 중",
        "산소 마스크를 쓰고 있어요",
        "on supplemental oxygen",
    ],
)
def test_oxygen_is_read_from_the_text(knowledge: KnowledgeBase, text: str) -> None:
    assert [score.value for score in knowledge.scores(knowledge.extract_findings(text), ADULT)] == [2]


@pytest.mark.parametrize("text", ["not on oxygen", "산소 투여는 하지 않음", "oxygen saturation 98%", "산소포화도 98%"])
def test_no_oxygen_is_not_oxygen(knowledge: KnowledgeBase, text: str) -> None:
    assert [score.value for score in knowledge.scores(knowledge.extract_findings(text), ADULT)] == [0]
