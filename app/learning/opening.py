"""When a run is opened without anybody asking for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from app.adaptation import WORKER, LearningRun, QueuedFeedback, Trigger
from app.errors import ConflictError
from app.services.usable import exclusion_of

RETRY_FAILED_AFTER = timedelta(hours=1)
"""What a failed run had selected counts as new again after this time: the cause may have gone."""
NOTHING_TO_LEARN = "nothing_to_learn"
"""Why a run failed whose rows left nothing to train on, or nothing to hold out. The same rows would do so again."""
_IDLE_SHARE = 50
"""Counting takes at most a fiftieth of the time, however long the queue is."""


class RunLog(Protocol):
    """Of `RunRepository`: what opening needs."""

    def recent(self, limit: int) -> tuple[LearningRun, ...]: ...

    def open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, int | float]) -> LearningRun: ...


class WaitingFeedback(Protocol):
    """Of `FeedbackQueue`: what opening needs."""

    def waiting(self) -> tuple[QueuedFeedback, ...]: ...


@dataclass(frozen=True, slots=True)
class Learnable:
    """What a row must name, and be made with, to be learnt from."""

    conditions: Collection[str]
    encoders: Mapping[str, str]
    """`omni` and `medical` -> version that serves."""


class RunOpener:
    """Opens a run as soon as enough usable rows wait that no run has seen."""

    def __init__(
        self,
        runs: RunLog,
        queue: WaitingFeedback,
        learnable: Learnable,
        *,
        min_feedback: int,
        settings: Mapping[str, int | float],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings` are kept with the run."""
        self._runs = runs
        self._queue = queue
        self._learnable = learnable
        self._min_feedback = min_feedback
        self._settings = settings
        self._clock = clock
        self._next_look = 0.0

    def open_if_due(self) -> LearningRun | None:
        """Called while no run is active. None where it is not time, or another worker was first. StorageError."""
        started = time.monotonic()
        if started < self._next_look:
            return None
        try:
            if self._fresh_rows() < self._min_feedback:
                return None
            run = self._runs.open("automatic", WORKER, self._settings)
        except ConflictError:
            return None
        else:
            structlog.get_logger("app.learning").info("run_opened", run_id=run.run_id)
            return run
        finally:
            taken = time.monotonic() - started
            self._next_look = started + taken * _IDLE_SHARE

    def _fresh_rows(self) -> int:
        """Usable rows that wait. Those that the last run has left (contradicted, or nobody let it finish) are no reason
        for another one: the same rows would be left again, over and over."""
        seen_until = self._seen_until()
        usable = (
            row
            for row in self._queue.waiting()
            if exclusion_of(row, self._learnable.conditions, self._learnable.encoders) is None
        )
        return sum(1 for row in usable if seen_until is None or row.created_at > seen_until)

    def _seen_until(self) -> datetime | None:
        """When the last run read the queue; None where it says nothing about the rows that wait now."""
        last = next(iter(self._runs.recent(1)), None)
        if last is None:
            return None
        has_failed = last.state == "failed" and last.reason != NOTHING_TO_LEARN
        if has_failed and last.finished_at and self._clock() - last.finished_at >= RETRY_FAILED_AFTER:
            return None
        return last.started_at or last.created_at
