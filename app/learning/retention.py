"""RETENTION_DAYS, kept by the learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

_EVERY_S = 24 * 3600.0


class OldData(Protocol):
    """Of `Purger`: what retention needs."""

    def purge_older_than(self, cutoff: datetime) -> Sequence[object]: ...


class Retention:
    """Removes what is older than a number of days: at the first look, then once a day."""

    def __init__(
        self,
        data: OldData,
        days: int,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._age = timedelta(days=days)
        self._clock = clock
        self._seconds = seconds
        self._next = seconds()

    def look(self) -> None:
        """StorageError; the next look tries again."""
        if self._seconds() < self._next:
            return
        removed = self._data.purge_older_than(self._clock() - self._age)
        self._next = self._seconds() + _EVERY_S
        structlog.get_logger("app.learning").info("retention_kept", days=self._age.days, analyses=len(removed))

    def excuse(self) -> None:
        """Nothing that a failing database changes here."""

    def stop(self) -> None:
        """Nothing to end."""
