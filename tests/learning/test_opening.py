"""When the learner opens a run by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.learning.opening import NOTHING_TO_LEARN, RETRY_FAILED_AFTER, Learnable, RunOpener
from tests.learning.runs_fakes import ENCODERS, NOW, FakeQueue, FakeRuns, a_row, a_run

LEARNABLE = Learnable(frozenset({"migraine", "gout"}), ENCODERS)
LATER = NOW + timedelta(minutes=5)


def opener(runs: FakeRuns, queue: FakeQueue, *, now: datetime = LATER, min_feedback: int = 3) -> RunOpener:
    return RunOpener(runs, queue, LEARNABLE, min_feedback=min_feedback, settings={"lora_r": 4}, clock=lambda: now)


def test_a_run_is_opened_at_the_threshold_and_not_below() -> None:
    runs = FakeRuns()
    assert opener(runs, FakeQueue([a_row()] * 2)).open_if_due() is None
    opened = opener(runs, FakeQueue([a_row()] * 3)).open_if_due()
    assert opened is not None
    assert (opened.trigger, opened.requested_by) == ("automatic", "worker")
    assert runs.opened == [{"lora_r": 4}]


@pytest.mark.parametrize(
    "unusable",
    [
        {"analysis_id": None},
        {"shown_condition_id": None},
        {"is_correct": False},
        {"shown_condition_id": "unknown_to_the_network"},
        {"encoders": {"omni/text": "o0", "medical/text": "m1"}},
    ],
)
def test_rows_that_cannot_be_used_do_not_count(unusable: dict[str, object]) -> None:
    runs = FakeRuns()
    rows = [a_row(), a_row(), *[a_row(**unusable)] * 10]
    assert opener(runs, FakeQueue(rows)).open_if_due() is None
    assert runs.opened == []


@pytest.mark.parametrize("state", ["promoted", "rejected", "cancelled", "failed"])
def test_what_the_last_run_has_left_is_no_reason_for_another_one(state: str) -> None:
    last = a_run(state, started_at=NOW + timedelta(seconds=1), finished_at=LATER)
    left, new = a_row(NOW), a_row(NOW + timedelta(seconds=2))
    runs = FakeRuns(past=(last,))
    assert opener(runs, FakeQueue([left] * 10 + [new] * 2)).open_if_due() is None
    assert opener(runs, FakeQueue([left] * 10 + [new] * 3)).open_if_due() is not None


def test_what_a_failed_run_has_left_is_tried_again_after_a_while() -> None:
    runs = FakeRuns(past=(a_run("failed", started_at=NOW, finished_at=LATER),))
    queue = FakeQueue([a_row(NOW)] * 3)
    assert opener(runs, queue, now=LATER + RETRY_FAILED_AFTER - timedelta(seconds=1)).open_if_due() is None
    assert opener(runs, queue, now=LATER + RETRY_FAILED_AFTER).open_if_due() is not None


def test_a_rejected_run_is_not_repeated_however_long_it_is_ago() -> None:
    runs = FakeRuns(past=(a_run("rejected", started_at=NOW, finished_at=LATER),))
    assert opener(runs, FakeQueue([a_row(NOW)] * 3), now=LATER + timedelta(days=300)).open_if_due() is None


def test_rows_that_left_nothing_to_learn_are_not_tried_again_by_themselves() -> None:
    runs = FakeRuns(past=(a_run("failed", reason=NOTHING_TO_LEARN, started_at=NOW, finished_at=LATER),))
    left, new = a_row(NOW), a_row(NOW + timedelta(seconds=1))
    assert opener(runs, FakeQueue([left] * 3), now=LATER + timedelta(days=300)).open_if_due() is None
    assert opener(runs, FakeQueue([left, *[new] * 3]), now=LATER + timedelta(days=300)).open_if_due() is not None


def test_another_worker_may_be_first() -> None:
    assert opener(FakeRuns(is_raced=True), FakeQueue([a_row()] * 3)).open_if_due() is None


def test_counting_a_long_queue_takes_little_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of counting: the queue is read again a hundred after the first look."""
    times = iter([0.0, 2.0, 99.0, 100.0, 102.0])
    monkeypatch.setattr("app.learning.opening.time.monotonic", lambda: next(times))
    queue = FakeQueue([a_row()])
    looking = opener(FakeRuns(), queue)
    for reads in (1, 1, 2):
        assert looking.open_if_due() is None
        assert queue.reads == reads
