"""Risk and triage from the calibrated distribution, the vitals' influence through AFNet, and the red flags.

score = the mean of
    expected harm   sum_i p_i * (severity_i - 1) / 4        severity 1..5 of the knowledge base
    urgency         sum_t P(t) * (5 - t) / 4                triage 1..5 of AFNet
A red flag, or a clinical score such as NEWS2, raises the score to its level's lower bound and caps the triage level;
nothing lowers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from app.domain import FloatArray, Risk, RiskLevel

LEVEL_BOUNDS: tuple[tuple[RiskLevel, float], ...] = (
    ("critical", 0.75),
    ("high", 0.55),
    ("moderate", 0.30),
    ("low", 0.0),
)


class Floor(Protocol):
    """What limits how reassuring an answer may be: a red flag or a clinical score."""

    @property
    def floor(self) -> RiskLevel: ...

    @property
    def triage(self) -> int: ...


def risk_level(score: float) -> RiskLevel:
    return next(level for level, bound in LEVEL_BOUNDS if score >= bound)


def level_bound(level: RiskLevel) -> float:
    return dict(LEVEL_BOUNDS)[level]


def assess(
    probabilities: FloatArray,
    severities: FloatArray,
    triage: FloatArray,
    cuts: Sequence[float],
    floors: Sequence[Floor],
) -> Risk:
    """probabilities (n,), severities (n,) in 1..5, triage (5,) and the bounds of its levels (4,) -> the risk statement,
    floors applied."""
    harm = float(probabilities @ ((severities - 1.0) / 4.0))
    urgency = float(triage @ np.array([1.0, 0.75, 0.5, 0.25, 0.0], np.float32))
    score = (harm + urgency) / 2
    level = triage_level(triage, cuts)
    for limit in floors:
        score = max(score, level_bound(limit.floor))
        level = min(level, limit.triage)
    score = min(max(score, 0.0), 1.0)
    return Risk(score=score, level=risk_level(score), confidence=float(probabilities.max()), triage=level)


def expected_level(triage: FloatArray) -> float:
    """Triage probabilities (5,) -> the mean level, 1 to 5; 3 where there are none."""
    total = float(triage.sum())
    return float(triage @ np.arange(1, 6, dtype=np.float32)) / total if total > 0.5 else 3.0


def triage_level(triage: FloatArray, cuts: Sequence[float]) -> int:
    """Triage probabilities (5,) and the four ascending bounds between the levels -> the level, 1 to 5."""
    return int(np.searchsorted(np.asarray(cuts), expected_level(triage), side="right")) + 1
