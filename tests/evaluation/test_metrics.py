import numpy as np
import pytest

from app.evaluation.metrics import (
    expected_calibration_error,
    macro_f1,
    quadratic_weighted_kappa,
    ranking_figures,
    triage_figures,
)
from app.evaluation.speed import percentiles


def test_ranking_figures_by_hand() -> None:
    figures = ranking_figures(
        ["a", "b", "a", "c"], [["a", "b"], ["a", "b", "c"], ["b", "c", "c", "a"], ["c"]], [1.0, 0.5, 0.5, 1.0]
    )
    assert figures["top1"] == 0.5
    assert figures["top3"] == 0.75
    assert figures["top5"] == 1.0
    assert figures["ece"] == pytest.approx(0.25)


def test_macro_f1_by_hand() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert macro_f1(truth, predicted) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_kappa_of_perfect_and_of_reversed_ranking() -> None:
    levels = np.array([1, 2, 3, 4, 5] * 4)
    assert quadratic_weighted_kappa(levels, levels) == 1.0
    assert quadratic_weighted_kappa(levels, 6 - levels) == pytest.approx(-1.0)


def test_calibration_error_of_a_calibrated_and_of_a_boastful_model() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 20_000)
    assert expected_calibration_error(confidence, rng.uniform(0, 1, 20_000) < confidence) < 0.02
    assert expected_calibration_error(np.ones(100), np.arange(100) < 30) == pytest.approx(0.7)


def test_under_triage_is_a_level_that_is_too_calm() -> None:
    figures = triage_figures([1, 2, 3, 4], [3, 2, 2, 5])
    assert figures["under_triage"] == 0.5
    assert figures["under_triage_by_2"] == 0.25
    assert figures["over_triage_by_2"] == 0.0


def test_percentiles_are_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0}
