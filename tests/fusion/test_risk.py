import numpy as np
import pytest

from app.domain import ClinicalScore, RedFlag
from app.fusion.risk import LEVEL_BOUNDS, assess, risk_level, triage_level

SEVERITIES = np.array([5, 1], np.float32)
CALM = np.array([0.0, 0.0, 0.0, 0.2, 0.8], np.float32)
CUTS = (1.5, 2.5, 3.5, 4.5)
URGENT = np.array([0.7, 0.2, 0.1, 0.0, 0.0], np.float32)


@pytest.mark.parametrize(
    ("score", "level"), [(0.0, "low"), (0.3, "moderate"), (0.55, "high"), (0.75, "critical"), (1.0, "critical")]
)
def test_levels_at_their_bounds(score: float, level: str) -> None:
    assert risk_level(score) == level


def test_harm_and_urgency_both_raise_the_score() -> None:
    mild = assess(np.array([0.05, 0.95], np.float32), SEVERITIES, CALM, CUTS, ())
    dangerous = assess(np.array([0.95, 0.05], np.float32), SEVERITIES, CALM, CUTS, ())
    urgent = assess(np.array([0.05, 0.95], np.float32), SEVERITIES, URGENT, CUTS, ())
    assert mild.level == "low"
    assert dangerous.score > mild.score
    assert urgent.score > mild.score


@pytest.mark.parametrize("floor", [level for level, _ in LEVEL_BOUNDS])
def test_a_red_flag_is_a_floor_and_a_cap_of_triage(floor: str) -> None:
    flag = RedFlag("f", floor, 2, "flag")  # type: ignore[arg-type]
    risk = assess(np.array([0.0, 1.0], np.float32), SEVERITIES, CALM, CUTS, (flag,))
    assert risk.score >= dict(LEVEL_BOUNDS)[floor]  # type: ignore[index]
    assert risk.triage <= 2


def test_a_clinical_score_is_a_floor_and_a_cap_of_triage() -> None:
    score = ClinicalScore("NEWS2", 7, "high", True, "critical", 2, "NEWS2 7", "RCP 2017")
    risk = assess(np.array([0.0, 1.0], np.float32), SEVERITIES, CALM, CUTS, (score,))
    assert (risk.level, risk.triage) == ("critical", 2)


def test_a_red_flag_never_lowers() -> None:
    flag = RedFlag("f", "low", 5, "flag")
    probabilities = np.array([1.0, 0.0], np.float32)
    assert assess(probabilities, SEVERITIES, URGENT, CUTS, (flag,)) == assess(
        probabilities, SEVERITIES, URGENT, CUTS, ()
    )


@pytest.mark.parametrize(
    ("distribution", "level"), [([1, 0, 0, 0, 0], 1), ([0, 0.4, 0.3, 0.3, 0], 3), ([0, 0, 0, 0, 1], 5)]
)
def test_triage_follows_the_mean_level(distribution: list[float], level: int) -> None:
    assert triage_level(np.array(distribution, np.float32), CUTS) == level


def test_the_bounds_move_the_level() -> None:
    between = np.array([0, 0.5, 0.5, 0, 0], np.float32)
    assert [triage_level(between, (1.5, cut, 3.5, 4.5)) for cut in (2.4, 2.6)] == [3, 2]


def test_without_a_distribution_the_level_is_the_middle() -> None:
    assert triage_level(np.zeros(5, np.float32), CUTS) == 3
