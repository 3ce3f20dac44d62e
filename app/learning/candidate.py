"""A candidate version from a selection of feedback: trained, calibrated, judged. Reads and writes nothing outside."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from app.fusion.afnet import AFNet
from app.fusion.artifact import FusionArtifact
from app.fusion.calibration import Calibration
from app.fusion.tokens import EvidenceCodec
from app.learning.adapter import AdaptedNetwork
from app.learning.cases import LearningSets
from app.learning.gate import GateCases, Margins, Verdict, Version, judge
from app.learning.recalibration import recalibrate
from app.learning.selection import Example, Selection
from app.learning.training import TrainedAdapter, TrainingCases, TrainingOptions, WeightedCase, train_adapter
from app.training.tokens import LabelledTokens

Report = Callable[[str, float, Mapping[str, float]], None]
"""Told (step, share done, figures); raises what is to end the work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a candidate is made from. `redefined`: conditions whose meaning earlier runs have changed already."""

    parent: FusionArtifact
    selection: Selection
    sets: LearningSets
    specialties: tuple[str, ...]
    """Of each condition of the label list."""
    base: FusionArtifact | None = None
    """The version that the service came with, where `parent` is another one."""
    redefined: Collection[str] = ()
    options: TrainingOptions = field(default_factory=TrainingOptions)
    margins: Margins = field(default_factory=Margins)

    @property
    def changed(self) -> tuple[str, ...]:
        """Every condition whose meaning differs from the base training's, now."""
        return tuple(sorted({*self.redefined, *(item.shown for item in self.selection.redefinitions)}))


@dataclass(frozen=True, slots=True)
class Candidate:
    """`record`: the modification, protocol and impact parts of the change record."""

    network: AFNet
    adapted: AdaptedNetwork
    calibration: Calibration
    verdict: Verdict
    record: dict[str, Any]


def make_candidate(plan: Plan, report: Report, on_gate: Callable[[], None] = lambda: None) -> Candidate:
    """ValueError where nothing is left to train on, or held out. `on_gate`: called before the gate."""
    selection, sets, parent = plan.selection, plan.sets, plan.parent
    changed = frozenset(
        parent.config.conditions.index(name) for name in plan.changed if name in parent.config.conditions
    )
    held_out = _labelled(parent, (*selection.held_out, *selection.earlier_held_out))
    if not held_out:
        raise ValueError("no held-out feedback")
    reference = sets.calibration.without(changed).cases
    validation = _labelled(parent, selection.validation)
    replay = sets.replay.without(changed).cases
    started = time.monotonic()
    trained = train_adapter(
        parent.network,
        TrainingCases(
            feedback=_weighted(parent, (*selection.train, *selection.earlier_train)),
            validation=validation,
            replay=replay,
            reference=reference,
        ),
        plan.options,
        lambda step, steps, figures: report("training", step / steps, figures),
    )
    seconds = time.monotonic() - started
    report("calibrating", 0.0, {})
    calibration = recalibrate(trained.network, parent, (*reference, *validation))
    on_gate()
    report("gating", 0.0, {})
    severities = np.asarray(parent.config.severities, np.float32)
    verdict = judge(
        Version(parent.network, parent.calibration, severities),
        Version(trained.network, calibration, severities),
        GateCases(sets.gate, sets.emergencies, held_out, changed, plan.specialties),
        plan.margins,
        base=None if plan.base is None else Version(plan.base.network, plan.base.calibration, severities),
    )
    record = {
        "modification": _modification(plan, trained, len(replay)),
        "protocol": _protocol(plan, trained, seconds),
        "impact": {**verdict.impact(), "calibration": _calibrations(parent.calibration, calibration)},
    }
    return Candidate(trained.network, trained.adapted, calibration, verdict, record)


# --------------------------------------------------------------------------- tokens
def _labelled(parent: FusionArtifact, examples: Sequence[Example]) -> tuple[LabelledTokens, ...]:
    codec = EvidenceCodec(parent.config.finding_ids)
    labels = {name: number for number, name in enumerate(parent.config.conditions)}
    return tuple(
        LabelledTokens(
            group="feedback",
            tokens=tuple(codec.tokens(example.evidence)),
            condition=labels[example.label],
            triage=0,
            triage_weight=0.0,
        )
        for example in examples
    )


def _weighted(parent: FusionArtifact, examples: Sequence[Example]) -> tuple[WeightedCase, ...]:
    cases = _labelled(parent, examples)
    return tuple(WeightedCase(case, example.weight) for case, example in zip(cases, examples, strict=True))


# --------------------------------------------------------------------------- the record
def _modification(plan: Plan, trained: TrainedAdapter, replay: int) -> dict[str, Any]:
    selection, lora, summary = plan.selection, plan.options.lora, trained.adapted.summary
    trained_on = (*selection.train, *selection.validation, *selection.held_out)
    reasons = Counter(use.reason for use in selection.uses if use.reason)
    return {
        "parent_version": plan.parent.version,
        "adapter": {
            "r": lora.rank,
            "alpha": lora.alpha,
            "dropout": lora.dropout,
            "target_modules": list(summary.target_modules),
            "modules_to_save": list(summary.modules_to_save),
            "trainable_parameters": summary.trainable_parameters,
            "total_parameters": summary.total_parameters,
        },
        "feedback": {
            "train": len(selection.train),
            "validation": len(selection.validation),
            "held_out": len(selection.held_out),
            "earlier": len(selection.earlier_train),
            "excluded": dict(sorted(reasons.items())),
            "keys": len({example.caller for example in trained_on}),
            "weight_total": round(sum(example.weight for example in selection.train), 3),
            "labels": dict(sorted(Counter(example.label for example in trained_on).items())),
        },
        "redefinitions": [
            {"from": item.shown, "to": item.label, "rows": item.rows, "keys": item.keys}
            for item in selection.redefinitions
        ],
        "redefined": list(plan.changed),
        "replay": {"cases": replay, "left_out": len(plan.sets.replay.cases) - replay},
        "knowledge_version": plan.parent.config.knowledge_version,
        "learning_sets": plan.sets.digest,
    }


def _protocol(plan: Plan, trained: TrainedAdapter, seconds: float) -> dict[str, Any]:
    return {
        "gate_set": {"cases": len(plan.sets.gate.cases), "digest": plan.sets.gate.digest},
        "emergencies": {"cases": len(plan.sets.emergencies.cases), "digest": plan.sets.emergencies.digest},
        "held_out": {"rows": len(plan.selection.held_out), "earlier_rows": len(plan.selection.earlier_held_out)},
        "margins": asdict(plan.margins),
        "seed": plan.options.seed,
        "training": {
            "steps": trained.steps,
            "best_step": trained.best_step,
            "train_loss": round(trained.train_loss, 5),
            "validation_loss": [round(loss, 5) for loss in trained.validation_loss],
            "seconds": round(seconds, 1),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    }


def _calibrations(serving: Calibration, candidate: Calibration) -> dict[str, Any]:
    def figures(calibration: Calibration) -> dict[str, Any]:
        return {"temperature": dict(calibration.temperature), "conformal_mass": dict(calibration.conformal_mass)}

    return {"serving": figures(serving), "candidate": figures(candidate)}
