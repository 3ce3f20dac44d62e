"""A clock that stands still, feedback rows, and runs on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.adaptation import FeedbackRole, FeedbackUse, LearningRun, RunState
from app.domain import Feedback
from app.storage.analyses import AnalysisRepository
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.runs import RunRepository
from tests.storage.samples import analysis, evidence, give

LEASE_S = 60.0
ATTEMPTS = 3
PARENT, CANDIDATE = "0" * 12, "1" * 12


@dataclass
class StandingClock:
    """Microseconds that are not zero, as a real clock's."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def verdict(database: Database, *, caller: str | None = None, condition_id: str | None = None) -> str:
    """The id of a feedback row on an analysis of its own: a correction where a condition is given, else a yes."""
    case = analysis()
    AnalysisRepository(database).add(case, evidence(), text=None)
    given = Feedback(
        is_correct=condition_id is None, analysis_id=case.analysis_id, corrected_diagnosis=condition_id and "공황장애"
    )
    return give(FeedbackRepository(database), given, caller=caller, condition_id=condition_id).feedback_id


def use(feedback_id: str, role: FeedbackRole = "train") -> FeedbackUse:
    return FeedbackUse(feedback_id, role, 1.0 if role == "train" else 0.0)


def claimed(runs: RunRepository, owner: str = "w1") -> LearningRun:
    """A new run that `owner` holds."""
    opened = runs.open("manual", "a" * 64, {"lora_r": 8})
    run = runs.claim(owner, LEASE_S, ATTEMPTS)
    assert run is not None
    assert run.run_id == opened.run_id
    return run


def ended(
    runs: RunRepository,
    uses: Sequence[FeedbackUse],
    state: RunState = "promoted",
    *,
    parent: str = PARENT,
    candidate: str = CANDIDATE,
) -> str:
    """The id of a run that used the rows and ended so: by the gate's decision where it is one."""
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", parent, uses, {"train": len(uses)})
    runs.gating(run_id, "w1")
    if state == "promoted":
        runs.decide(run_id, "w1", "promote", None, candidate, {"checks": []})
    if state == "rejected":
        runs.decide(run_id, "w1", "reject", "gate_accuracy", candidate, {"checks": []})
    runs.finish(run_id, "w1", state, "gate_accuracy" if state == "rejected" else None)
    return run_id


def actions(log: AuditLog) -> list[str]:
    return [entry.action for entry in log.entries()]
