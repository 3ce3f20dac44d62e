"""Keeps a run's lease while it is worked on, tells how far it is, and notices what is to end the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import structlog

from app.adaptation import RunProgress
from app.errors import LeaseLostError, StorageError
from app.learning.machine import free_memory
from app.settings import Settings
from app.storage.runs import RunRepository

_BEATS_PER_LEASE = 6
_MEMORY_EVERY_S = 2.0


class StoppedError(BaseException):
    """The process was told to end. No Exception, so that nothing on the way takes it for a failure."""


class CancelledRunError(Exception):
    """Somebody cancelled the run."""


class ShortOfMemoryError(Exception):
    """The machine needs its memory for the service."""


class Keeper:
    """A heartbeat on a thread of its own; `report` is called by the work, and ends it."""

    def __init__(self, runs: RunRepository, run_id: str, owner: str, settings: Settings) -> None:
        self._runs = runs
        self._run_id = run_id
        self._owner = owner
        self._lease_s = settings.learning_lease_s
        self._min_free_memory = int(settings.learning_min_free_memory)
        self._progress = RunProgress("selecting", 0.0)
        self._is_cancelled = False
        self._is_lost = False
        self._next_memory_look = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def report(self, step: str, share: float, figures: Mapping[str, float]) -> None:
        """CancelledRunError, LeaseLostError, ShortOfMemoryError: the work is to end here."""
        self._progress = RunProgress(step, min(max(share, 0.0), 1.0), dict(figures))
        if self._is_lost:
            raise LeaseLostError(self._run_id)
        if self._is_cancelled:
            raise CancelledRunError
        now = time.monotonic()
        if now >= self._next_memory_look:
            self._next_memory_look = now + _MEMORY_EVERY_S
            if free_memory() < self._min_free_memory:
                raise ShortOfMemoryError

    def _beat(self) -> None:
        lost_at = time.monotonic() + self._lease_s
        while not self._ending.wait(self._lease_s / _BEATS_PER_LEASE):
            try:
                self._is_cancelled = self._runs.heartbeat(self._run_id, self._owner, self._lease_s, self._progress)
                lost_at = time.monotonic() + self._lease_s
            except LeaseLostError:
                self._is_lost = True
                return
            except StorageError as error:  # a full disk or a database away for a moment: the lease decides
                structlog.get_logger("app.learning").warning("heartbeat_failed", code=error.code)
                self._is_lost = time.monotonic() >= lost_at
                if self._is_lost:
                    return
