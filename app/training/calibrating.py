"""Fits a `Calibration` on dev cases, and says how good the fitted network is on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from app.domain import FloatArray, Source
from app.evaluation.metrics import expected_calibration_error, macro_f1
from app.fusion.afnet import triage_probabilities
from app.fusion.calibration import Calibration, Modality, TrainingRegion, conformal_set_size, modality_of, softmax
from app.fusion.risk import expected_level
from app.training.tokens import OUTSIDE, LabelledTokens, embedding_vectors

_GRID = np.exp(np.linspace(np.log(0.2), np.log(5.0), 121))
_SCOPE_QUANTILE = 0.995
_SCOPE_MARGIN = 1.15
_COMPONENTS = 64
_UNREAD_FLOORS = (0.4, 0.8)
_UNREAD_QUANTILE = 0.95
_MAX_FLOOR: dict[Modality, float] = {"text": 0.25, "mixed": 0.3, "image": 0.5, "audio": 0.5, "video": 0.5}
"""Dev cases are easier than a clinic's: a limit taken from them alone would give up honest two-way differentials.
Pictures and sounds speak for a handful of conditions only, so a spread distribution says more there."""


def fit_calibration(
    cases: Sequence[LabelledTokens],
    logits: FloatArray,
    triage: FloatArray,
    regions: dict[str, TrainingRegion],
    *,
    coverage: float = 0.9,
    abstain_share: float = 0.02,
) -> Calibration:
    """Temperatures by likelihood, conformal mass by quantile, abstention limits by the share of dev cases given up.

    logits (n, conditions), triage (n, 4) cumulative logits.
    """
    groups: dict[Modality, list[int]] = defaultdict(list)
    for number, case in enumerate(cases):
        if case.condition >= 0:
            groups[modality_of([token.source for token in case.tokens])].append(number)
    temperature: dict[Modality, float] = {}
    mass: dict[Modality, float] = {}
    floor: dict[Modality, float] = {}
    for modality, rows in groups.items():
        truth = np.array([cases[row].condition for row in rows])
        temperature[modality] = best_temperature(logits[rows], truth)
        probabilities = np.stack([softmax(row, temperature[modality]) for row in logits[rows]])
        mass[modality] = conformal_mass(probabilities, truth, coverage)
        floor[modality] = min(float(np.quantile(probabilities.max(1), abstain_share)), _MAX_FLOOR[modality])
    return Calibration(
        temperature=temperature,
        coverage=coverage,
        conformal_mass=mass,
        min_probability=floor,
        min_probability_unread=_unread_floor(cases, logits, temperature.get("text", 1.0)),
        triage_cuts=fit_triage_cuts(cases, triage),
        distance_limits=_distance_limits(cases, regions),
        fitted_on={modality: len(rows) for modality, rows in groups.items()},
    )


def fit_triage_cuts(cases: Sequence[LabelledTokens], triage: FloatArray) -> tuple[float, float, float, float]:
    """Bounds that give the levels the shares that experts gave them, over the cases that experts triaged.

    The mean level of a distribution avoids the ends; matching the shares undoes that without trying bounds on the dev
    cases. Bounds halfway between the levels where no expert triaged anything.
    """
    rows = [n for n, case in enumerate(cases) if case.triage and case.triage_weight >= 1.0]
    if not rows:
        return (1.5, 2.5, 3.5, 4.5)
    levels = [expected_level(row) for row in triage_probabilities(torch.from_numpy(triage[rows])).numpy()]
    truth = np.array([cases[n].triage for n in rows])
    shares = [float((truth <= level).mean()) for level in range(1, 5)]
    first, second, third, fourth = (float(value) for value in np.quantile(levels, shares))
    return (first, second, third, fourth)


def _unread_floor(cases: Sequence[LabelledTokens], logits: FloatArray, temperature: float) -> float:
    """What nearly no text from outside of the catalogue reaches in which no finding was read; the strict end of
    _UNREAD_FLOORS where there are none."""
    low, high = _UNREAD_FLOORS
    tops = [
        float(softmax(row, temperature).max())
        for case, row in zip(cases, logits, strict=True)
        if case.condition == OUTSIDE and _is_unread_text(case)
    ]
    return min(max(float(np.quantile(tops, _UNREAD_QUANTILE)), low), high) if tops else high


def _is_unread_text(case: LabelledTokens) -> bool:
    sources = [token.source for token in case.tokens]
    return modality_of(sources) == "text" and Source.FINDINGS.value not in sources


def best_temperature(logits: FloatArray, truth: np.ndarray) -> float:
    """The temperature of lowest negative log likelihood, over a grid of 0.2 to 5."""

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(1, keepdims=True)
        log_sum = np.log(np.exp(scaled).sum(1))
        return float((log_sum - scaled[np.arange(len(truth)), truth]).mean())

    return float(min(_GRID, key=loss))


def conformal_mass(probabilities: FloatArray, truth: np.ndarray, coverage: float) -> float:
    """Quantile of the probability ranked above the truth: sets that reach it hold the truth with `coverage`."""
    own = probabilities[np.arange(len(truth)), truth]
    above = np.where(probabilities > own[:, None], probabilities, 0.0).sum(1)
    level = min(1.0, np.ceil((len(truth) + 1) * coverage) / len(truth))
    return float(np.quantile(above, level, method="higher")) + 1e-6


def fit_regions(cases: Sequence[LabelledTokens]) -> dict[str, TrainingRegion]:
    """Whitened principal components of every embedding source over the training cases of the catalogue."""
    regions = {}
    for source, rows in embedding_vectors(case for case in cases if case.condition != OUTSIDE).items():
        matrix = rows.astype(np.float64)
        mean = matrix.mean(0)
        _, singular, components = np.linalg.svd(matrix - mean, full_matrices=False)
        kept = min(_COMPONENTS, len(singular))
        scale = np.maximum(singular[:kept] / np.sqrt(max(1, len(rows) - 1)), 1e-6)
        residual = max(float((singular[kept:] ** 2).sum()) / len(rows), 1e-6)
        regions[source] = TrainingRegion(
            mean.astype(np.float32),
            components[:kept].astype(np.float32),
            scale.astype(np.float32),
            np.array([residual], np.float32),
        )
    return regions


def _distance_limits(cases: Sequence[LabelledTokens], regions: dict[str, TrainingRegion]) -> dict[str, float]:
    distances: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        for token in () if case.condition == OUTSIDE else case.tokens:
            if token.source in regions:
                distances[token.source].append(regions[token.source].distance(token.vector))
    return {source: _SCOPE_MARGIN * float(np.quantile(values, _SCOPE_QUANTILE)) for source, values in distances.items()}


def figures(cases: Sequence[LabelledTokens], logits: FloatArray, calibration: Calibration) -> dict[str, dict[str, Any]]:
    """Per group: cases, top-1/3/5, macro-F1, expected calibration error, conformal coverage and mean set size."""
    result: dict[str, dict[str, Any]] = {}
    for group in dict.fromkeys(case.group for case in cases):
        rows = [n for n, case in enumerate(cases) if case.group == group and case.condition >= 0]
        if rows:
            result[group] = _group_figures([cases[row] for row in rows], logits[rows], calibration)
    return result


def _group_figures(cases: Sequence[LabelledTokens], logits: FloatArray, calibration: Calibration) -> dict[str, Any]:
    truth = np.array([case.condition for case in cases])
    modalities = [modality_of([token.source for token in case.tokens]) for case in cases]
    probabilities = np.stack(
        [softmax(row, calibration.temperature[m]) for row, m in zip(logits, modalities, strict=True)]
    )
    order = np.argsort(-probabilities, axis=1)
    hits = order == truth[:, None]
    sizes = [
        conformal_set_size(np.sort(row)[::-1], calibration.conformal_mass[m])
        for row, m in zip(probabilities, modalities, strict=True)
    ]
    covered = [bool(hit[:size].any()) for hit, size in zip(hits, sizes, strict=True)]
    return {
        "cases": len(truth),
        "top1": round(float(hits[:, 0].mean()), 4),
        "top3": round(float(hits[:, :3].any(1).mean()), 4),
        "top5": round(float(hits[:, :5].any(1).mean()), 4),
        "macro_f1": round(macro_f1(truth, order[:, 0]), 4),
        "ece": round(expected_calibration_error(probabilities.max(1), hits[:, 0]), 4),
        "coverage": round(float(np.mean(covered)), 4),
        "mean_set_size": round(float(np.mean(sizes)), 2),
    }
