"""The gate: a candidate beside the serving version, on cases that no training has seen.

A candidate is promoted only where no guarded figure falls beyond its margin and held-out feedback improves. Figures are
shares of 1 and natural-log losses; all from the calibrated probabilities that would be answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from app.domain import FloatArray
from app.evaluation.metrics import expected_calibration_error
from app.fusion.afnet import AFNet, triage_probabilities
from app.fusion.calibration import Calibration, modality_of, softmax
from app.fusion.risk import assess, triage_level
from app.learning.cases import LearningSet
from app.training.fitting import score
from app.training.tokens import LabelledTokens


@dataclass(frozen=True, slots=True)
class Margins:
    """How far a guarded figure may fall (a loss or an error may rise); 0: not at all."""

    gate_accuracy: float = 0.05
    """Over everything, conditions with a new local meaning among them: how much one run may redefine."""
    unchanged_accuracy: float = 0.01
    cumulative_accuracy: float = 0.03
    """Against the base version: what many small losses, each within its margin, may come to."""
    gate_ece: float = 0.02
    triage_under: float = 0.011
    """One of about a hundred expert triages."""
    red_flags: float = 0.0
    specialty_loss: float = 0.15
    held_out_accuracy: float = 0.015
    """One row of about seventy: the log loss says whether the candidate is better."""
    held_out_log_loss: float = 0.0
    """Here the figure must improve."""


@dataclass(frozen=True, slots=True)
class Version:
    """What answers: weights, their calibration, and the severity of each condition."""

    network: AFNet
    calibration: Calibration
    severities: FloatArray


@dataclass(frozen=True, slots=True)
class GateCases:
    """`redefined`: labels whose meaning this run, or one before it, has changed; `specialties`: of each label."""

    gate: LearningSet
    emergencies: LearningSet
    held_out: tuple[LabelledTokens, ...]
    redefined: frozenset[int]
    specialties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One guarded figure of both versions."""

    name: str
    serving: float
    candidate: float
    margin: float
    passed: bool


@dataclass(frozen=True, slots=True)
class SpecialtyCheck:
    """Mean negative log likelihood over the gate cases of one specialty."""

    name: str
    cases: int
    serving_loss: float
    candidate_loss: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's whole answer."""

    checks: tuple[Check, ...]
    specialties: tuple[SpecialtyCheck, ...]
    held_out: Mapping[str, Any]

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(check.name for check in self.checks if not check.passed)

    @property
    def promotes(self) -> bool:
        return not self.failed

    def impact(self) -> dict[str, Any]:
        """For the change record."""
        return {
            "checks": [asdict(check) for check in self.checks],
            "specialties": [asdict(check) for check in self.specialties],
            "held_out": dict(self.held_out),
        }


_MIN_SPECIALTY_CASES = 20
_HIGH = {"high", "critical"}


def judge(
    serving: Version, candidate: Version, cases: GateCases, margins: Margins, *, base: Version | None = None
) -> Verdict:
    """ValueError without held-out feedback: there would be nothing that says the candidate is better.

    `base`: the version that the service came with, where another one serves.
    """
    if not cases.held_out:
        raise ValueError("no held-out feedback")
    old, new = (_Figures.of(version, cases) for version in (serving, candidate))
    first = old if base is None else _Figures.of(base, cases)
    specialties = tuple(_specialties(old, new, cases, margins.specialty_loss))
    worst = max((row.candidate_loss - row.serving_loss for row in specialties), default=0.0)
    held = cases.held_out
    before, after = (_held_out(version, held) for version in (serving, candidate))
    checks = (
        _no_lower("gate_accuracy", old.accuracy(), new.accuracy(), margins.gate_accuracy),
        _no_lower(
            "unchanged_accuracy",
            old.accuracy(cases.redefined),
            new.accuracy(cases.redefined),
            margins.unchanged_accuracy,
        ),
        _no_lower(
            "cumulative_accuracy",
            first.accuracy(cases.redefined),
            new.accuracy(cases.redefined),
            margins.cumulative_accuracy,
        ),
        _no_higher("gate_ece", old.ece(cases.redefined), new.ece(cases.redefined), margins.gate_ece),
        _no_higher("triage_under", old.triage_under, new.triage_under, margins.triage_under),
        _no_lower("red_flags", old.red_flags, new.red_flags, margins.red_flags),
        Check("specialty_loss", 0.0, round(worst, 6), margins.specialty_loss, all(row.passed for row in specialties)),
        _no_lower("held_out_accuracy", before["accuracy"], after["accuracy"], margins.held_out_accuracy),
        _lower("held_out_log_loss", before["log_loss"], after["log_loss"], margins.held_out_log_loss),
    )
    return Verdict(checks, specialties, {"rows": len(held), "serving": before, "candidate": after})


@dataclass(frozen=True, slots=True)
class _Figures:
    """Probabilities (n, conditions) of the gate cases with a known condition, and their labels (n,)."""

    probabilities: FloatArray
    labels: np.ndarray
    triage_under: float
    red_flags: float

    @classmethod
    def of(cls, version: Version, cases: GateCases) -> _Figures:
        known = [case for case in cases.gate.cases if case.condition >= 0]
        probabilities, _ = _scores(version, known)
        return cls(
            probabilities,
            np.array([case.condition for case in known]),
            _under_triage(version, cases.gate.cases),
            _recognised(version, cases.emergencies),
        )

    def accuracy(self, without: frozenset[int] = frozenset()) -> float:
        rows = self._rows(without)
        return float((self.probabilities[rows].argmax(1) == self.labels[rows]).mean())

    def ece(self, without: frozenset[int]) -> float:
        rows = self._rows(without)
        chosen = self.probabilities[rows]
        return expected_calibration_error(chosen.max(1), chosen.argmax(1) == self.labels[rows])

    def losses(self) -> FloatArray:
        """(n,) negative log likelihoods."""
        return log_losses(self.probabilities, self.labels)

    def _rows(self, without: frozenset[int]) -> np.ndarray:
        return np.array([label not in without for label in self.labels])


def log_losses(probabilities: FloatArray, labels: np.ndarray) -> FloatArray:
    """(n, conditions), (n,) -> (n,) negative log likelihoods, at most 16.1."""
    own = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(own, 1e-7)), np.float32)


def _scores(version: Version, cases: Sequence[LabelledTokens]) -> tuple[FloatArray, FloatArray]:
    """Calibrated condition probabilities (n, conditions) and triage probabilities (n, 5)."""
    logits, triage = score(version.network, cases)
    kinds = [modality_of([token.source for token in case.tokens]) for case in cases]
    temperature = version.calibration.temperature
    probabilities = np.stack([softmax(row, temperature[kind]) for row, kind in zip(logits, kinds, strict=True)])
    return probabilities, triage_probabilities(torch.from_numpy(triage)).numpy()


def _under_triage(version: Version, cases: Sequence[LabelledTokens]) -> float:
    """Share of the cases triaged by experts that are called two or more levels less urgent."""
    visits = [case for case in cases if case.triage and case.triage_weight >= 1.0]
    if not visits:
        return 0.0
    _, triage = _scores(version, visits)
    levels = [triage_level(row, version.calibration.triage_cuts) for row in triage]
    return float(np.mean([level >= case.triage + 2 for level, case in zip(levels, visits, strict=True)]))


def _recognised(version: Version, emergencies: LearningSet) -> float:
    """Share of the emergencies whose risk is stated as high or critical, red-flag floors applied as in an answer."""
    probabilities, triage = _scores(version, emergencies.cases)
    levels = [
        assess(row, version.severities, urgency, version.calibration.triage_cuts, [floor] if floor else []).level
        for row, urgency, floor in zip(probabilities, triage, emergencies.floors, strict=True)
    ]
    return float(np.mean([level in _HIGH for level in levels]))


def _specialties(old: _Figures, new: _Figures, cases: GateCases, margin: float) -> list[SpecialtyCheck]:
    rows: dict[str, list[int]] = defaultdict(list)
    for number, label in enumerate(old.labels):
        if label not in cases.redefined:
            rows[cases.specialties[label]].append(number)
    before, after = old.losses(), new.losses()
    result = []
    for name, members in sorted(rows.items()):
        if len(members) >= _MIN_SPECIALTY_CASES:
            was, now = float(before[members].mean()), float(after[members].mean())
            result.append(SpecialtyCheck(name, len(members), round(was, 6), round(now, 6), now <= was + margin))
    return result


def _held_out(version: Version, held_out: Sequence[LabelledTokens]) -> dict[str, float]:
    probabilities, _ = _scores(version, held_out)
    labels = np.array([case.condition for case in held_out])
    return {
        "accuracy": round(float((probabilities.argmax(1) == labels).mean()), 6),
        "log_loss": round(float(log_losses(probabilities, labels).mean()), 6),
    }


def _no_lower(name: str, serving: float, candidate: float, margin: float) -> Check:
    return Check(name, round(serving, 6), round(candidate, 6), margin, candidate >= serving - margin - 1e-9)


def _no_higher(name: str, serving: float, candidate: float, margin: float) -> Check:
    return Check(name, round(serving, 6), round(candidate, 6), margin, candidate <= serving + margin + 1e-9)


def _lower(name: str, serving: float, candidate: float, margin: float) -> Check:
    return Check(name, round(serving, 6), round(candidate, 6), margin, candidate < serving - margin)
