"""The learning loop's stores in memory: they keep the rules that callers see, and fail as they are told."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from app.adaptation import (
    TERMINAL_STATES,
    ActiveVersion,
    AuditEntry,
    FeedbackProgress,
    LearningRun,
    QueuedFeedback,
    Trigger,
    VersionInfo,
)
from app.errors import ArtifactError, ConflictError, NotFoundError, StorageError
from app.services.ports import LearningStores

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BASE, NEWER = "f1", "f2"
"""The fake predictor's version, and one that a run made."""


def queued(feedback_id: str, **changes: Any) -> QueuedFeedback:
    """A confirmed answer, made by the encoders that serve."""
    row = QueuedFeedback(
        feedback_id=feedback_id,
        created_at=NOW,
        caller="",
        is_correct=True,
        analysis_id="an_1",
        shown_condition_id="pneumonia",
        corrected_condition_id=None,
        has_correction=False,
        encoders={"omni/text": "o1", "medical/text": "m1"},
    )
    return replace(row, **changes)


def a_run(run_id: str = "run_1", **changes: Any) -> LearningRun:
    """A queued one."""
    run = LearningRun(
        run_id=run_id,
        state="queued",
        trigger="manual",
        requested_by="",
        created_at=NOW,
        started_at=None,
        finished_at=None,
        attempts=0,
        parent_version=None,
        candidate_version=None,
        decision=None,
        reason=None,
        cancel_requested=False,
        lease_owner=None,
        lease_until=None,
        progress=None,
        settings={},
        counts={},
        report=None,
    )
    return replace(run, **changes)


@dataclass
class FakeRuns:
    failing: bool = False
    runs: dict[str, LearningRun] = field(default_factory=dict)
    rows: dict[str, FeedbackProgress] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)

    def open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, Any]) -> LearningRun:
        active = self.active()
        if active is not None:
            raise ConflictError("run_active", run_id=active.run_id)
        run = a_run(f"run_{len(self.runs)}", trigger=trigger, requested_by=requested_by, settings=dict(settings))
        self.runs[run.run_id] = run
        return run

    def cancel(self, run_id: str, requested_by: str) -> LearningRun:
        run = self.get(run_id)
        if run.state in TERMINAL_STATES:
            raise ConflictError("run_finished", run_id=run_id)
        if run.decision is not None:
            raise ConflictError("run_decided", run_id=run_id)
        changes = {"state": "cancelled", "finished_at": NOW} if run.state == "queued" else {"cancel_requested": True}
        self.runs[run_id] = replace(run, **changes)  # type: ignore[arg-type]
        return self.runs[run_id]

    def get(self, run_id: str) -> LearningRun:
        self._check(run_id)
        if run_id not in self.runs:
            raise NotFoundError("run_not_found")
        return self.runs[run_id]

    def active(self) -> LearningRun | None:
        self._check()
        return next((run for run in self.runs.values() if run.state not in TERMINAL_STATES), None)

    def recent(self, limit: int) -> Sequence[LearningRun]:
        return list(reversed(self.runs.values()))[:limit]

    def feedback(self, feedback_id: str) -> FeedbackProgress:
        self._check(feedback_id)
        if feedback_id not in self.rows:
            raise NotFoundError("feedback_not_found")
        return self.rows[feedback_id]

    def _check(self, *ids: str) -> None:
        self.asked_for.extend(ids)
        if self.failing:
            raise StorageError("storage_unavailable", reason="SQLITE_IOERR")


@dataclass
class FakeQueue:
    rows: list[QueuedFeedback] = field(default_factory=list)
    given_up_once: list[QueuedFeedback] = field(default_factory=list)
    """Rows of a rejected run."""

    def waiting(self) -> Sequence[QueuedFeedback]:
        return self.rows

    def rejected(self, fewer_than: int) -> Sequence[QueuedFeedback]:
        return self.given_up_once if fewer_than > 1 else ()


@dataclass
class FakeAudit:
    """`full_after`: how many entries fit."""

    log: list[AuditEntry] = field(default_factory=list)
    full_after: int = 1_000_000

    def append(self, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> AuditEntry:
        if len(self.log) >= self.full_after:
            raise StorageError("storage_full")
        number = len(self.log) + 1
        self.log.append(AuditEntry(number, NOW, actor, action, subject, dict(details), "", f"digest-{number}"))
        return self.log[-1]

    def entries(self, after: int = 0, limit: int = 1000, *, subject: str | None = None) -> Sequence[AuditEntry]:
        return [item for item in self.log[after:] if subject in {None, item.subject}][:limit]


@dataclass
class FakeVersions:
    """`damaged` versions cannot be activated; `unreadable`: the pointer itself is damaged."""

    known: dict[str, VersionInfo] = field(
        default_factory=lambda: {
            NEWER: VersionInfo(NEWER, BASE, "run_1", NOW, {"train": 3}, {"held_out_accuracy": 0.9}, {"lora_r": 8}),
            BASE: VersionInfo(BASE, None, None, None),
        }
    )
    pointer: ActiveVersion = field(default_factory=lambda: ActiveVersion(BASE, 0))
    damaged: frozenset[str] = frozenset()
    unreadable: bool = False
    audit_heads: list[str | None] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def infos(self) -> Sequence[VersionInfo]:
        return list(self.known.values())

    def info(self, version: str) -> VersionInfo:
        if version not in self.known:
            raise NotFoundError("version_not_found")
        return self.known[version]

    def active(self) -> ActiveVersion:
        self.threads.add(threading.current_thread().name)
        if self.unreadable:
            raise ArtifactError("version_pointer_invalid", file="active.json")
        return self.pointer

    def activate(
        self,
        version: str,
        *,
        by: str,
        run_id: str | None,
        expected: str | None = None,
        audit_head: str | None = None,
    ) -> ActiveVersion:
        if version in self.damaged:
            raise ArtifactError("version_damaged", version=version, file="weights.safetensors")
        if expected not in {None, self.pointer.version}:
            raise ConflictError("version_changed", active=self.pointer.version)
        self.audit_heads.append(audit_head)
        self.unreadable = False
        self.pointer = ActiveVersion(version, self.pointer.sequence + 1, NOW, by, run_id)
        return self.pointer


@dataclass
class FakeLearning:
    """All of them, for a test to fill and to look into."""

    runs: FakeRuns = field(default_factory=FakeRuns)
    queue: FakeQueue = field(default_factory=FakeQueue)
    audit: FakeAudit = field(default_factory=FakeAudit)
    versions: FakeVersions = field(default_factory=FakeVersions)

    def stores(self) -> LearningStores:
        return LearningStores(self.runs, self.queue, self.audit, self.versions)
