"""Runs and rows for the parts of the worker, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.adaptation import LearningRun, QueuedFeedback, RunState, Trigger
from app.errors import ConflictError, StorageError
from tests.services.learning_fakes import a_run as any_run

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ENCODERS = {"omni": "o1", "medical": "m1"}


def a_run(state: RunState = "queued", **changes: object) -> LearningRun:
    automatic = {"trigger": "automatic", "requested_by": "worker", "created_at": NOW}
    return any_run("run_1", state=state, **(automatic | changes))


def held_by(owner: str, seconds: float = 60.0) -> LearningRun:
    """`seconds` from now the lease ends."""
    return a_run("running", lease_owner=owner, lease_until=datetime.now(UTC) + timedelta(seconds=seconds))


def a_row(created_at: datetime = NOW, **changes: object) -> QueuedFeedback:
    """Usable: it confirms a known diagnosis of the encoders that serve."""
    row = QueuedFeedback(
        feedback_id="fb_1",
        created_at=created_at,
        caller="",
        is_correct=True,
        analysis_id="an_1",
        shown_condition_id="migraine",
        corrected_condition_id=None,
        has_correction=False,
        encoders={"omni/text": "o1", "medical/text": "m1"},
    )
    return replace(row, **changes)  # type: ignore[arg-type]


@dataclass
class FakeRuns:
    """`current` is the active run; None: there is none. `failing`: the database is away."""

    current: LearningRun | None = None
    past: tuple[LearningRun, ...] = ()
    opened: list[Mapping[str, int | float]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    failing: bool = False
    is_raced: bool = False
    """Another worker opens a run first."""

    def active(self) -> LearningRun | None:
        self._check()
        return self.current

    def recent(self, limit: int) -> tuple[LearningRun, ...]:
        self._check()
        return self.past[:limit]

    def open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, int | float]) -> LearningRun:
        if self.is_raced:
            raise ConflictError("run_active", run_id="run_2")
        self.opened.append(settings)
        self.current = a_run(trigger=trigger, requested_by=requested_by)
        return self.current

    def release(self, owner: str) -> None:
        self._check()
        self.released.append(owner)

    def claim(self, owner: str, lease_s: float, max_attempts: int) -> LearningRun | None:
        if self.current is not None:
            self.current = replace(self.current, attempts=self.current.attempts + 1, lease_owner=owner)
        return self.current

    def finish(self, run_id: str, owner: str, state: RunState, reason: str | None) -> None:
        assert self.current is not None
        assert (self.current.run_id, self.current.lease_owner) == (run_id, owner)
        self.past = (replace(self.current, state=state, reason=reason), *self.past)
        self.current = None

    def _check(self) -> None:
        if self.failing:
            raise StorageError("storage_unavailable", reason="SQLITE_CANTOPEN")


@dataclass
class FakeQueue:
    rows: list[QueuedFeedback]
    reads: int = 0

    def waiting(self) -> tuple[QueuedFeedback, ...]:
        self.reads += 1
        return tuple(self.rows)


@dataclass
class FakeStaging:
    cleanings: int = 0
    withdrawn: list[str] = field(default_factory=list)

    def clean(self) -> int:
        self.cleanings += 1
        return 0

    def withdraw(self, run_id: str) -> int:
        self.withdrawn.append(run_id)
        return 1


class FakeTrainer:
    """A trainer that runs until a test says how it ended."""

    def __init__(self) -> None:
        self.started = 0
        self.stops: list[str] = []
        self.owner: str | None = None
        self._status: int | None = None

    @property
    def is_running(self) -> bool:
        return self.owner is not None and self._status is None

    @property
    def pid(self) -> int | None:
        return 4242 if self.is_running else None

    def start(self, run_id: str) -> None:
        self.started += 1
        self.owner, self._status = f"host:1:{self.started}", None

    def end(self, status: int) -> None:
        self._status = status

    def ended(self) -> int | None:
        return self._status

    def forget(self) -> None:
        self.owner = self._status = None

    def kill(self) -> None:
        self.stops.append("kill")
        self._status = -9

    def stop(self) -> None:
        self.stops.append("stop")
        self._status = 0 if self.is_running else self._status
