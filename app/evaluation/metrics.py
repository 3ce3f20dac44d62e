"""Figures of quality, from plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def ranking_figures(
    truth: Sequence[str], ranked: Sequence[Sequence[str]], confidence: Sequence[float]
) -> dict[str, Any]:
    """Top-1/3/5, macro-F1 and expected calibration error of ranked answers against true condition ids."""
    hits = np.array(
        [[k < len(row) and row[k] == true for k in range(5)] for true, row in zip(truth, ranked, strict=True)]
    )
    ids = {name: number for number, name in enumerate(dict.fromkeys([*truth, *(row[0] for row in ranked)]))}
    labels = np.array([ids[name] for name in truth])
    first = np.array([ids[row[0]] for row in ranked])
    return {
        "cases": len(truth),
        "top1": round(float(hits[:, 0].mean()), 4),
        "top3": round(float(hits[:, :3].any(1).mean()), 4),
        "top5": round(float(hits.any(1).mean()), 4),
        "macro_f1": round(macro_f1(labels, first), 4),
        "ece": round(expected_calibration_error(np.asarray(confidence), hits[:, 0]), 4),
    }


def triage_figures(truth: Sequence[int], predicted: Sequence[int]) -> dict[str, Any]:
    """Quadratic-weighted kappa, and the shares of cases triaged too low (by 1, by 2 or more) and too high."""
    true, guess = np.asarray(truth), np.asarray(predicted)
    return {
        "cases": len(true),
        "quadratic_weighted_kappa": round(quadratic_weighted_kappa(true, guess), 4),
        "exact": round(float((true == guess).mean()), 4),
        "under_triage": round(float((guess > true).mean()), 4),
        "under_triage_by_2": round(float((guess >= true + 2).mean()), 4),
        "over_triage_by_2": round(float((guess <= true - 2).mean()), 4),
    }


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the labels that occur in `truth`."""
    scores = []
    for label in np.unique(truth):
        both = float(((truth == label) & (predicted == label)).sum())
        total = float((truth == label).sum() + (predicted == label).sum())
        scores.append(2 * both / total)
    return float(np.mean(scores))


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    """Mean |accuracy - confidence| over equal-width confidence bins, weighted by their cases."""
    rows = reliability_bins(confidence, correct, bins)
    return sum(row.cases * abs(row.accuracy - row.confidence) for row in rows) / max(1, len(confidence))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases whose confidence lies in [lower, upper): how many, how sure on average, how often right."""

    lower: float
    upper: float
    cases: int
    confidence: float
    accuracy: float


def reliability_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> list[ReliabilityBin]:
    """Equal-width bins that hold a case; the last one includes 1."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            number / bins,
            (number + 1) / bins,
            int((which == number).sum()),
            float(confidence[which == number].mean()),
            float(correct[which == number].mean()),
        )
        for number in range(bins)
        if (which == number).any()
    ]


def conformal_figures(
    truth: Sequence[str], ranked: Sequence[Sequence[str]], set_sizes: Sequence[int]
) -> dict[str, float]:
    """How often the true condition is among the first `set_size`, and how many that are on average."""
    held = [true in row[:size] for true, row, size in zip(truth, ranked, set_sizes, strict=True)]
    return {"coverage": round(float(np.mean(held)), 4), "set_size": round(float(np.mean(set_sizes)), 2)}


def quadratic_weighted_kappa(truth: np.ndarray, predicted: np.ndarray, levels: int = 5) -> float:
    """Cohen's kappa with squared distances, levels 1..`levels`."""
    observed = np.zeros((levels, levels))
    np.add.at(observed, (truth - 1, predicted - 1), 1)
    expected = np.outer(observed.sum(1), observed.sum(0)) / observed.sum()
    weights = (np.arange(levels)[:, None] - np.arange(levels)[None, :]) ** 2
    return float(1 - (weights * observed).sum() / (weights * expected).sum())
