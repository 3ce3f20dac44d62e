from __future__ import annotations

from dataclasses import replace

import pytest

from app.adaptation import RunState
from app.errors import ConflictError, LeaseLostError, NotFoundError
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.runs import RunRepository
from tests.storage.learning_samples import (
    ATTEMPTS,
    CANDIDATE,
    LEASE_S,
    PARENT,
    StandingClock,
    actions,
    claimed,
    use,
    verdict,
)

REPORT = {"impact": {"checks": [{"name": "gate_accuracy", "serving": 0.91, "candidate": 0.93}]}}


def decided(runs: RunRepository, owner: str = "w1") -> str:
    run_id = claimed(runs, owner).run_id
    runs.gating(run_id, owner)
    runs.decide(run_id, owner, "promote", None, CANDIDATE, REPORT)
    return run_id


# --- opening
def test_a_new_run_waits_for_a_worker(runs: RunRepository, clock: StandingClock, log: AuditLog):
    run = runs.open("manual", "a" * 64, {"lora_r": 8})
    assert (run.state, run.trigger, run.requested_by, run.attempts) == ("queued", "manual", "a" * 64, 0)
    assert (run.created_at, run.started_at, run.finished_at) == (clock.now, None, None)
    assert (run.settings, run.counts, run.report, run.progress) == ({"lora_r": 8}, {}, None, None)
    assert runs.get(run.run_id) == run == runs.active()
    (entry,) = log.entries()
    assert (entry.actor, entry.action, entry.subject, entry.at) == ("a" * 64, "run.opened", run.run_id, clock.now)
    assert entry.details == {"trigger": "manual"}


def test_one_run_is_active_at_a_time(runs: RunRepository):
    run = runs.open("automatic", "worker", {})
    with pytest.raises(ConflictError, match="run_active") as caught:
        runs.open("manual", "", {})
    assert caught.value.params == {"run_id": run.run_id}
    runs.cancel(run.run_id, "")
    assert runs.open("manual", "", {}).run_id != run.run_id


def test_a_caller_without_a_key_is_called_local_in_the_log(runs: RunRepository, log: AuditLog):
    assert runs.open("manual", "", {}).requested_by == ""
    assert log.entries()[0].actor == "local"


def test_recent_runs_come_newest_first(runs: RunRepository, clock: StandingClock):
    ids = []
    for _ in range(3):
        ids.append(runs.open("manual", "", {}).run_id)
        runs.cancel(ids[-1], "")
        clock.advance(1)
    assert [run.run_id for run in runs.recent(2)] == [ids[2], ids[1]]
    assert runs.active() is None


def test_an_unknown_run_is_not_found(runs: RunRepository):
    for call in (runs.get, lambda run_id: runs.cancel(run_id, "")):
        with pytest.raises(NotFoundError, match="run_not_found"):
            call("run_unknown")


# --- the decision
def test_the_decision_and_its_report_are_kept_before_anything_is_activated(runs: RunRepository, log: AuditLog):
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [], {"train": 0})
    runs.gating(run_id, "w1")
    assert runs.get(run_id).state == "gating"
    runs.decide(run_id, "w1", "promote", "all_checks_passed", CANDIDATE, REPORT)
    run = runs.get(run_id)
    assert (run.state, run.decision, run.reason) == ("gating", "promote", "all_checks_passed")
    assert (run.parent_version, run.candidate_version, run.report) == (PARENT, CANDIDATE, REPORT)
    entry = log.head()
    assert entry is not None
    assert entry.action == "run.decided"
    assert set(entry.details) == {"decision", "reason", "report_sha256", "parent_version", "candidate_version"}
    assert len(entry.details["report_sha256"]) == 64


def test_a_decision_stands(runs: RunRepository):
    run_id = decided(runs)
    with pytest.raises(ConflictError, match="run_decided"):
        runs.decide(run_id, "w1", "reject", "gate_accuracy", CANDIDATE, {})
    assert runs.get(run_id).report == REPORT


def test_a_run_that_died_after_its_decision_is_brought_to_its_end(runs: RunRepository, clock: StandingClock):
    run_id = decided(runs, "w0")
    for attempt in range(1, 2 * ATTEMPTS):
        clock.advance(LEASE_S)
        again = runs.claim(f"w{attempt}", LEASE_S, ATTEMPTS)
        assert again is not None
        assert (again.state, again.decision, again.candidate_version) == ("gating", "promote", CANDIDATE)
    runs.finish(run_id, f"w{attempt}", "promoted", None)
    assert runs.get(run_id).state == "promoted"


def test_even_a_decided_run_does_not_kill_its_workers_for_ever(runs: RunRepository, clock: StandingClock):
    run_id = decided(runs, "w0")
    for attempt in range(1, 2 * ATTEMPTS):
        clock.advance(LEASE_S)
        assert runs.claim(f"w{attempt}", LEASE_S, ATTEMPTS) is not None
    clock.advance(LEASE_S)
    assert runs.claim("w9", LEASE_S, ATTEMPTS) is None
    assert (runs.get(run_id).state, runs.get(run_id).reason) == ("failed", "worker_lost")


def test_a_decided_run_that_is_given_back_keeps_its_decision(runs: RunRepository):
    run_id = decided(runs, "w1")
    runs.requeue(run_id, "w1", "worker_stopped")
    assert runs.get(run_id).state == "gating"
    again = runs.claim("w2", LEASE_S, ATTEMPTS)
    assert again is not None
    assert (again.state, again.decision) == ("gating", "promote")


def test_only_the_gate_promotes(runs: RunRepository):
    run = claimed(runs)
    with pytest.raises(ValueError, match="gate"):
        runs.finish(run.run_id, "w1", "promoted", None)
    assert runs.get(run.run_id) == run


@pytest.mark.parametrize("state", ["queued", "running", "gating"])
def test_an_end_is_an_end(state: RunState, runs: RunRepository):
    run = claimed(runs)
    with pytest.raises(ValueError, match=state):
        runs.finish(run.run_id, "w1", state, None)
    assert runs.get(run.run_id) == run


# --- cancelling
def test_a_queued_run_is_cancelled_at_once(runs: RunRepository, clock: StandingClock, log: AuditLog):
    run_id = runs.open("manual", "", {}).run_id
    clock.advance(5)
    run = runs.cancel(run_id, "b" * 64)
    assert (run.state, run.reason, run.finished_at) == ("cancelled", "cancel_requested", clock.now)
    assert runs.active() is None
    entry = log.head()
    assert entry is not None
    assert (entry.action, entry.actor) == ("run.cancelled", "b" * 64)


def test_a_running_run_is_cancelled_by_its_worker(runs: RunRepository, log: AuditLog):
    run_id = claimed(runs).run_id
    for _ in range(2):
        run = runs.cancel(run_id, "b" * 64)
        assert (run.state, run.cancel_requested) == ("running", True)
    assert runs.heartbeat(run_id, "w1", LEASE_S, None) is True
    runs.finish(run_id, "w1", "cancelled", "cancel_requested")
    assert runs.get(run_id).state == "cancelled"
    assert actions(log) == ["run.opened", "run.claimed", "run.cancel_requested", "run.cancelled"]


def test_a_cancelled_run_whose_worker_died_ends_with_the_next_claim(runs: RunRepository, clock: StandingClock):
    run_id = claimed(runs).run_id
    runs.cancel(run_id, "")
    clock.advance(LEASE_S)
    assert runs.claim("w2", LEASE_S, ATTEMPTS) is None
    assert runs.get(run_id).state == "cancelled"


def test_a_run_that_no_worker_holds_is_cancelled_at_once(runs: RunRepository, clock: StandingClock):
    run_id = claimed(runs).run_id
    clock.advance(LEASE_S)
    assert runs.cancel(run_id, "").state == "cancelled"
    with pytest.raises(LeaseLostError):
        runs.heartbeat(run_id, "w1", LEASE_S, None)


def test_nothing_is_decided_for_a_run_that_is_to_be_cancelled(runs: RunRepository):
    run_id = claimed(runs).run_id
    runs.cancel(run_id, "")
    with pytest.raises(ConflictError, match="cancel_requested"):
        runs.decide(run_id, "w1", "promote", None, CANDIDATE, REPORT)
    assert runs.get(run_id).decision is None


def test_a_decided_or_finished_run_cannot_be_cancelled(runs: RunRepository):
    run_id = decided(runs)
    before = runs.get(run_id)
    with pytest.raises(ConflictError, match="run_decided"):
        runs.cancel(run_id, "")
    runs.finish(run_id, "w1", "promoted", None)
    with pytest.raises(ConflictError, match="run_finished"):
        runs.cancel(run_id, "")
    after = runs.get(run_id)
    assert (
        replace(after, finished_at=None, state=before.state, lease_owner="w1", lease_until=before.lease_until) == before
    )


# --- what a run does with feedback
def test_choosing_again_replaces_what_was_chosen_before(database: Database, runs: RunRepository):
    first, second = verdict(database), verdict(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(first), use(second)], {"train": 2})
    runs.select(run_id, "w1", PARENT, [use(second, "held_out")], {"held_out": 1})
    assert runs.feedback(first).outcome == "waiting"
    assert (runs.feedback(second).outcome, runs.feedback(second).role) == ("in_training", "held_out")
    assert (runs.get(run_id).parent_version, runs.get(run_id).counts) == (PARENT, {"held_out": 1})


def test_a_row_that_is_gone_cannot_be_chosen(database: Database, runs: RunRepository, log: AuditLog):
    kept = verdict(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(kept)], {"train": 1})
    with pytest.raises(ConflictError, match="feedback_gone"):
        runs.select(run_id, "w1", "f" * 12, [use(kept), use("fb_gone")], {"train": 2})
    assert runs.get(run_id).parent_version == PARENT
    assert runs.feedback(kept).outcome == "in_training"
    assert actions(log).count("run.selected") == 1


def test_a_row_has_one_use_in_a_run(database: Database, runs: RunRepository):
    row = verdict(database)
    run_id = claimed(runs).run_id
    with pytest.raises(ValueError, match="twice"):
        runs.select(run_id, "w1", PARENT, [use(row), use(row, "held_out")], {})


def test_every_change_of_state_is_in_the_log_and_the_log_is_whole(database: Database, runs: RunRepository):
    row = verdict(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(row)], {"train": 1})
    runs.requeue(run_id, "w1", "worker_stopped")
    runs.claim("w2", LEASE_S, ATTEMPTS)
    runs.gating(run_id, "w2")
    runs.decide(run_id, "w2", "reject", "gate_accuracy", CANDIDATE, REPORT)
    runs.finish(run_id, "w2", "rejected", "gate_accuracy")
    log = AuditLog(database)
    told = ["opened", "claimed", "selected", "requeued", "claimed", "gating", "decided", "rejected"]
    assert actions(log) == [f"run.{name}" for name in told]
    assert {entry.subject for entry in log.entries()} == {run_id}
    assert log.verify().first_broken is None
