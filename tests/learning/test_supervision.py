"""What the worker does with the active run, from one look to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from app.errors import StorageError
from app.learning.opening import Learnable, RunOpener
from app.learning.supervision import RunSupervisor
from tests.learning.runs_fakes import ENCODERS, FakeQueue, FakeRuns, FakeStaging, FakeTrainer, a_row, a_run, held_by


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Setting:
    """A supervisor and everything that it holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs: FakeRuns | None = None, rows: int = 0) -> None:
        self.runs, self.trainer, self.staging = runs or FakeRuns(), FakeTrainer(), FakeStaging()
        self.clock, self.free = Clock(), 10_000
        monkeypatch.setattr("app.learning.supervision.time", self.clock)
        monkeypatch.setattr("app.learning.supervision.free_memory", lambda: self.free)
        learnable = Learnable(frozenset({"migraine"}), ENCODERS)
        self.supervisor = RunSupervisor(
            self.runs,
            RunOpener(self.runs, FakeQueue([a_row()] * rows), learnable, min_feedback=3, settings={}),
            self.staging,
            self.trainer,  # type: ignore[arg-type]
            poll_s=5.0,
            lease_s=60.0,
            max_attempts=3,
            min_free_memory=1000,
            silence_s=100.0,
        )

    def look(self, seconds_later: float = 0.0) -> None:
        self.clock.now += seconds_later
        self.supervisor.look()


def test_a_queued_run_gets_a_trainer_and_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.look(5)
    assert setting.trainer.started == 1


def test_a_run_that_is_due_is_opened_and_started_in_the_same_look(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, rows=3)
    setting.look()
    assert len(setting.runs.opened) == 1
    assert setting.trainer.started == 1


def test_nothing_is_started_where_there_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, rows=2)
    setting.look()
    assert setting.trainer.started == 0


def test_a_run_that_another_worker_holds_is_left_until_its_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(held_by("elsewhere:1:a")))
    setting.look()
    assert setting.trainer.started == 0
    setting.runs.current = held_by("elsewhere:1:a", seconds=-0.1)
    setting.look()
    assert setting.trainer.started == 1


def test_a_dead_trainers_lease_is_ended_and_the_next_attempts_come_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    for attempt, delay in enumerate([5, 10, 20, 40, 60, 60], start=1):
        setting.runs.current = a_run(attempts=attempt)
        setting.trainer.end(-9)
        setting.look()
        assert setting.runs.released == [f"host:1:{number}" for number in range(1, attempt + 1)]
        setting.look(delay - 0.1)
        assert setting.trainer.started == attempt
        setting.look(0.1)
        assert setting.trainer.started == attempt + 1


def test_a_trainer_that_cannot_even_claim_its_run_fails_it_after_as_many_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    for ended in range(3):
        setting.look(60)
        assert setting.trainer.started == ended + 1
        setting.trainer.end(1)
        setting.look(60)
    assert setting.runs.current is None
    assert (setting.runs.past[0].state, setting.runs.past[0].reason) == ("failed", "trainer_broken")


@pytest.mark.parametrize("last", ["gave it back", "claimed it", "decided"])
def test_one_that_did_more_does_not(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run(decision="promote" if last == "decided" else None)))
    for ended in range(3):
        setting.look(60)
        if ended == 2 and last == "claimed it":
            setting.runs.current = a_run(attempts=1)
        setting.trainer.end(0 if ended == 2 and last == "gave it back" else 1)
        setting.look(60)
    assert setting.trainer.started == 3
    assert setting.runs.current is not None
    assert setting.runs.past == ()


def test_after_a_run_that_came_to_its_end_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.runs.current = None
    setting.trainer.end(0)
    setting.look()
    setting.runs.current = a_run()
    setting.look()
    assert setting.trainer.started == 2


def test_what_could_not_be_released_is_released_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.trainer.end(-9)
    setting.runs.failing = True
    with pytest.raises(StorageError):
        setting.look()
    setting.runs.failing = False
    setting.look()
    assert setting.runs.released == ["host:1:1"]


def test_staging_is_cleaned_at_the_start_and_after_each_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch)
    for _ in range(3):
        setting.look()
    assert setting.staging.cleanings == 1
    setting.runs.current = a_run()
    setting.look()
    setting.trainer.end(-9)
    setting.look()
    assert setting.staging.cleanings == 2


def test_a_trainer_that_holds_no_lease_for_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.look(160.0)
    assert setting.trainer.stops == []
    setting.look(0.5)
    assert setting.trainer.stops == ["kill"]


def test_a_trainer_that_renews_its_lease_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    for _ in range(10):
        setting.runs.current = held_by(setting.trainer.owner or "")
        setting.look(100.0)
    assert setting.trainer.stops == []


def test_silence_while_the_database_fails_is_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.clock.now += 1000.0
    setting.supervisor.excuse()
    setting.look(100.0)
    assert setting.trainer.stops == []


def test_training_waits_for_memory_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.free = 999
    with capture_logs() as logged:
        setting.look()
        setting.look(5)
    assert [line["event"] for line in logged] == ["waiting_for_memory"]
    assert setting.trainer.started == 0
    setting.free = 1000
    setting.look(5)
    assert setting.trainer.started == 1


def test_stopping_releases_what_the_trainer_held(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(monkeypatch, FakeRuns(a_run()))
    setting.look()
    setting.supervisor.stop()
    assert setting.trainer.stops == ["stop"]
    assert setting.runs.released == ["host:1:1"]


@pytest.mark.parametrize(
    ("state", "decision", "withdrawn"),
    [("failed", None, True), ("cancelled", None, True), ("failed", "promote", False), ("rejected", "reject", False)],
)
def test_what_a_run_published_that_nobody_decided_on_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch, state: str, decision: str | None, withdrawn: bool
) -> None:
    last = replace(a_run(), state=state, decision=decision)  # type: ignore[arg-type]
    runs = FakeRuns()
    runs.past = (last,)
    setting = Setting(monkeypatch, runs)
    setting.look()
    assert setting.staging.withdrawn == ([last.run_id] if withdrawn else [])
