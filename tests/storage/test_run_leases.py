"""One worker at a time holds a run, and a run does not outlive its workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.adaptation import RunProgress
from app.errors import LeaseLostError
from app.storage.audit import AuditLog
from app.storage.runs import RunRepository
from tests.storage.learning_samples import ATTEMPTS, CANDIDATE, LEASE_S, PARENT, StandingClock, actions, claimed


def test_a_claimed_run_is_nobody_elses_until_the_lease_is_over(runs: RunRepository, clock: StandingClock):
    assert runs.claim("w1", LEASE_S, ATTEMPTS) is None
    run = claimed(runs, "w1")
    assert (run.state, run.attempts, run.lease_owner, run.started_at) == ("running", 1, "w1", clock.now)
    assert run.lease_until == clock.now + timedelta(seconds=LEASE_S)
    clock.advance(LEASE_S - 0.001)
    assert runs.claim("w2", LEASE_S, ATTEMPTS) is None
    clock.advance(0.001)
    again = runs.claim("w2", LEASE_S, ATTEMPTS)
    assert again is not None
    assert (again.run_id, again.attempts, again.lease_owner, again.started_at) == (
        run.run_id,
        2,
        "w2",
        run.started_at,
    )


def test_a_heartbeat_keeps_the_run_and_shows_its_progress(runs: RunRepository, clock: StandingClock):
    run = claimed(runs)
    for share in (0.25, 0.5):
        clock.advance(LEASE_S - 1)
        progress = RunProgress("training", share, {"epoch": 2.0, "validation_loss": 0.31})
        assert runs.heartbeat(run.run_id, "w1", LEASE_S, progress) is False
        assert runs.claim("w2", LEASE_S, ATTEMPTS) is None
        assert runs.get(run.run_id).progress == progress
    assert runs.heartbeat(run.run_id, "w1", LEASE_S, None) is False
    assert runs.get(run.run_id).progress == progress


WRITES: dict[str, Callable[[RunRepository, str], object]] = {
    "heartbeat": lambda runs, run_id: runs.heartbeat(run_id, "w1", LEASE_S, RunProgress("training", 0.9)),
    "select": lambda runs, run_id: runs.select(run_id, "w1", PARENT, [], {}),
    "gating": lambda runs, run_id: runs.gating(run_id, "w1"),
    "decide": lambda runs, run_id: runs.decide(run_id, "w1", "promote", None, CANDIDATE, {}),
    "finish": lambda runs, run_id: runs.finish(run_id, "w1", "failed", "training_diverged"),
    "requeue": lambda runs, run_id: runs.requeue(run_id, "w1", "memory_short"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_worker_that_was_taken_for_dead_writes_nothing(
    name: str, runs: RunRepository, clock: StandingClock, log: AuditLog
):
    run_id = claimed(runs, "w1").run_id
    clock.advance(LEASE_S)
    taken = runs.claim("w2", LEASE_S, ATTEMPTS)
    before = actions(log)
    with pytest.raises(LeaseLostError) as caught:
        WRITES[name](runs, run_id)
    assert (caught.value.code, caught.value.params) == ("lease_lost", {"run_id": run_id})
    assert runs.get(run_id) == taken
    assert actions(log) == before


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_to_a_run_that_is_over(name: str, runs: RunRepository):
    run_id = claimed(runs, "w1").run_id
    runs.finish(run_id, "w1", "failed", "training_diverged")
    over = runs.get(run_id)
    with pytest.raises(LeaseLostError):
        WRITES[name](runs, run_id)
    assert runs.get(run_id) == over


def test_a_slow_worker_whose_run_nobody_took_goes_on(runs: RunRepository, clock: StandingClock):
    run_id = claimed(runs, "w1").run_id
    clock.advance(10 * LEASE_S)
    runs.heartbeat(run_id, "w1", LEASE_S, None)
    assert runs.claim("w2", LEASE_S, ATTEMPTS) is None


def test_a_released_run_is_taken_up_at_once(runs: RunRepository):
    run_id = claimed(runs, "w1").run_id
    runs.release("w9")
    assert runs.claim("w2", LEASE_S, ATTEMPTS) is None
    runs.release("w1")
    with pytest.raises(LeaseLostError):
        runs.heartbeat(run_id, "w1", LEASE_S, None)
    again = runs.claim("w2", LEASE_S, ATTEMPTS)
    assert again is not None
    assert (again.run_id, again.attempts) == (run_id, 2)


def test_a_run_that_kills_its_workers_fails_in_the_end(runs: RunRepository, clock: StandingClock, log: AuditLog):
    run_id = claimed(runs, "w0").run_id
    for attempt in range(1, ATTEMPTS):
        clock.advance(LEASE_S)
        assert runs.claim(f"w{attempt}", LEASE_S, ATTEMPTS) is not None
    clock.advance(LEASE_S)
    assert runs.claim("w9", LEASE_S, ATTEMPTS) is None
    run = runs.get(run_id)
    assert (run.state, run.reason, run.attempts) == ("failed", "worker_lost", ATTEMPTS)
    assert (run.finished_at, run.lease_owner, run.lease_until) == (clock.now, None, None)
    assert runs.active() is None
    assert actions(log)[-1] == "run.failed"


def test_a_requeued_run_goes_on_and_says_why_it_waits(runs: RunRepository):
    run_id = claimed(runs, "w1").run_id
    runs.requeue(run_id, "w1", "memory_short")
    waiting = runs.get(run_id)
    assert (waiting.state, waiting.reason, waiting.attempts, waiting.lease_owner) == ("queued", "memory_short", 1, None)
    again = runs.claim("w2", LEASE_S, ATTEMPTS)
    assert again is not None
    assert (again.state, again.reason, again.attempts) == ("running", None, 2)


def test_a_run_that_was_given_back_too_often_fails_for_the_reason_given(runs: RunRepository):
    run_id = claimed(runs, "w0").run_id
    for attempt in range(1, ATTEMPTS):
        runs.requeue(run_id, f"w{attempt - 1}", "memory_short")
        assert runs.claim(f"w{attempt}", LEASE_S, ATTEMPTS) is not None
    runs.requeue(run_id, f"w{ATTEMPTS - 1}", "memory_short")
    assert runs.claim("w9", LEASE_S, ATTEMPTS) is None
    assert (runs.get(run_id).state, runs.get(run_id).reason) == ("failed", "memory_short")
