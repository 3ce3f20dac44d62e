"""The active run gets a training process, and what that process leaves behind when it dies is put in order."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from app.adaptation import LearningRun, RunState
from app.learning.log import learning_log
from app.learning.machine import free_memory
from app.learning.opening import RunOpener
from app.learning.trainer import Trainer, new_owner
from app.patience import Patience

_SILENCE_S = 120.0
"""A trainer that has held no lease for so long, on top of one lease's time, hangs."""
TRAINER_BROKEN = "trainer_broken"
"""Why a run failed whose training processes ended, one after the other, before they could claim it."""


class Runs(Protocol):
    """Of `RunRepository`: what supervision needs."""

    def active(self) -> LearningRun | None: ...

    def release(self, owner: str) -> None: ...

    def recent(self, limit: int) -> tuple[LearningRun, ...]: ...

    def claim(self, owner: str, lease_s: float, max_attempts: int) -> LearningRun | None: ...

    def finish(self, run_id: str, owner: str, state: RunState, reason: str | None) -> None: ...


class Staging(Protocol):
    """Of `VersionRegistry`: what supervision needs."""

    def clean(self) -> int: ...

    def withdraw(self, run_id: str) -> int: ...


class RunSupervisor:
    """One look after the other, each from what the database says."""

    def __init__(
        self,
        runs: Runs,
        opener: RunOpener,
        staging: Staging,
        trainer: Trainer,
        *,
        poll_s: float,
        lease_s: float,
        max_attempts: int,
        min_free_memory: int,
        silence_s: float = _SILENCE_S,
    ) -> None:
        """`min_free_memory`: bytes below which no training starts."""
        self._runs = runs
        self._opener = opener
        self._staging = staging
        self._trainer = trainer
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._min_free_memory = min_free_memory
        self._attempts_before = 0
        self._stillborn = 0
        self._patience = Patience(poll_s)
        self._next_start = 0.0
        self._silent_for_s = lease_s + silence_s
        self._last_sign = 0.0
        self._is_staging_clean = False
        self._is_short_of_memory = False

    def look(self) -> None:
        """StorageError; the next look goes on from what it finds then."""
        if self._trainer.ended() is not None:
            self._settle()
        run = self._runs.active()
        if self._trainer.is_running:
            self._watch(run)
            return
        self._clean()
        if run is None:
            run = self._opener.open_if_due()
        if run is not None and not _is_held(run) and time.monotonic() >= self._next_start and self._has_memory():
            self._trainer.start(run.run_id)
            self._attempts_before = run.attempts
            self._last_sign = time.monotonic()

    def excuse(self) -> None:
        """The database failed: for as long a trainer's silence means nothing."""
        self._last_sign = time.monotonic()

    def stop(self) -> None:
        """The trainer gives its run back and ends; what it could not give back is released. StorageError."""
        self._trainer.stop()
        if self._trainer.owner is not None:
            self._runs.release(self._trainer.owner)
            self._trainer.forget()

    def _settle(self) -> None:
        """A trainer has ended: what it may still hold is free again. Attempts that get nowhere come ever later."""
        status = self._trainer.ended()
        if self._trainer.owner is not None:
            self._runs.release(self._trainer.owner)
        run = self._runs.active()
        self._trainer.forget()
        self._is_staging_clean = False
        if run is None:
            self._patience.reset()
            self._stillborn = 0
            learning_log().info("trainer_ended", status=status)
            return
        delay = self._patience.next_delay()
        self._next_start = time.monotonic() + delay
        learning_log().warning("trainer_ended_early", status=status, next_attempt_s=delay)
        self._count_stillborn(run, status)

    def _count_stillborn(self, run: LearningRun, status: int | None) -> None:
        """A trainer that cannot even claim its run uses up no attempt: it is the learner that ends such a run."""
        is_stillborn = status != 0 and run.attempts == self._attempts_before
        self._stillborn = self._stillborn + 1 if is_stillborn else 0
        if self._stillborn < self._max_attempts or run.decision is not None:
            return
        owner = new_owner()
        claimed = self._runs.claim(owner, self._lease_s, self._max_attempts)
        if claimed is not None:
            self._runs.finish(claimed.run_id, owner, "failed", TRAINER_BROKEN)
            learning_log().error("run_failed", run_id=claimed.run_id, code=TRAINER_BROKEN)
        self._stillborn = 0

    def _watch(self, run: LearningRun | None) -> None:
        now = time.monotonic()
        if run is not None and run.lease_owner == self._trainer.owner and _is_held(run):
            self._last_sign = now
        elif now - self._last_sign > self._silent_for_s:
            learning_log().error("trainer_hangs", pid=self._trainer.pid)
            self._trainer.kill()

    def _clean(self) -> None:
        """What a trainer that died has left of a version; once after each."""
        if not self._is_staging_clean:
            removed = self._staging.clean() + self._withdraw_undecided()
            self._is_staging_clean = True
            if removed:
                learning_log().info("staging_cleaned", folders=removed)

    def _withdraw_undecided(self) -> int:
        """A run that was ended from outside may have published a version that no gate's decision stands for."""
        last = next(iter(self._runs.recent(1)), None)
        is_undecided = last is not None and last.decision is None and last.state in {"failed", "cancelled"}
        return self._staging.withdraw(last.run_id) if last is not None and is_undecided else 0

    def _has_memory(self) -> bool:
        free = free_memory()
        is_short = free < self._min_free_memory
        if is_short and not self._is_short_of_memory:
            learning_log().warning("waiting_for_memory", free=free, needed=self._min_free_memory)
        self._is_short_of_memory = is_short
        return not is_short


def _is_held(run: LearningRun) -> bool:
    return run.lease_owner is not None and run.lease_until is not None and run.lease_until > datetime.now(UTC)
