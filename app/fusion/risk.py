"""Risk and triage from the calibrated distribution, the vitals' influence through AFNet, and the red flags.

score = 0.65 x the larger + 0.35 x the smaller of
    expected harm   sum_i p_i * (severity_i - 1) / 4        severity 1..5 of the knowledge base
    urgency         sum_t P(t) * (5 - t) / 4                triage 1..5 of AFNet
A red flag raises the score to its level's lower bound and caps the triage level; nothing lowers them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.domain import FloatArray, RedFlag, Risk, RiskLevel

LEVEL_BOUNDS: tuple[tuple[RiskLevel, float], ...] = (
    ("critical", 0.75),
    ("high", 0.55),
    ("moderate", 0.30),
    ("low", 0.0),
)
_LARGER_SHARE = 0.65


def risk_level(score: float) -> RiskLevel:
    return next(level for level, bound in LEVEL_BOUNDS if score >= bound)


def level_bound(level: RiskLevel) -> float:
    return dict(LEVEL_BOUNDS)[level]


def assess(probabilities: FloatArray, severities: FloatArray, triage: FloatArray, red_flags: Sequence[RedFlag]) -> Risk:
    """probabilities (n,), severities (n,) in 1..5, triage (5,) -> the risk statement, floors applied."""
    harm = float(probabilities @ ((severities - 1.0) / 4.0))
    urgency = float(triage @ np.array([1.0, 0.75, 0.5, 0.25, 0.0], np.float32))
    score = _LARGER_SHARE * max(harm, urgency) + (1.0 - _LARGER_SHARE) * min(harm, urgency)
    level = median_level(triage)
    for flag in red_flags:
        score = max(score, level_bound(flag.floor))
        level = min(level, flag.triage)
    score = min(max(score, 0.0), 1.0)
    return Risk(score=score, level=risk_level(score), confidence=float(probabilities.max()), triage=level)


def median_level(triage: FloatArray) -> int:
    """Triage probabilities (5,) -> the median level: minimises expected absolute error on an ordinal scale."""
    return int(np.searchsorted(np.cumsum(triage), 0.5) + 1) if triage.sum() > 0.5 else 3
