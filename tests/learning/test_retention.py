"""RETENTION_DAYS: once a day, and again at the next look where the database refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.errors import StorageError
from app.learning.retention import Retention
from tests.learning.runs_fakes import NOW

DAY_S = 24 * 3600.0


class Data:
    def __init__(self) -> None:
        self.cutoffs: list[datetime] = []
        self.is_failing = False

    def purge_older_than(self, cutoff: datetime) -> list[object]:
        if self.is_failing:
            raise StorageError("storage_locked", reason="SQLITE_BUSY")
        self.cutoffs.append(cutoff)
        return []


def test_old_data_goes_once_a_day() -> None:
    data, now = Data(), [100.0]
    retention = Retention(data, 30, clock=lambda: NOW, seconds=lambda: now[0])
    for seconds, times in ((0.0, 1), (5.0, 1), (DAY_S - 5.1, 1), (0.1, 2)):
        now[0] += seconds
        retention.look()
        assert len(data.cutoffs) == times
    assert set(data.cutoffs) == {NOW - timedelta(days=30)}


def test_a_refusal_is_not_put_off_to_tomorrow() -> None:
    data = Data()
    retention = Retention(data, 30, clock=lambda: NOW, seconds=lambda: 100.0)
    data.is_failing = True
    with pytest.raises(StorageError):
        retention.look()
    data.is_failing = False
    retention.look()
    assert len(data.cutoffs) == 1
