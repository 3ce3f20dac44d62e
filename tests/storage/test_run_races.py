"""Several workers at once: a run is opened once, held by one, and ends once; the audit chain never forks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from app.adaptation import LearningRun
from app.errors import AppError, ConflictError, NotFoundError
from app.storage.audit import AuditLog
from app.storage.database import Database, open_database
from app.storage.feedback_queue import FeedbackQueue
from app.storage.purging import Purger, PurgeReport
from app.storage.runs import RunRepository
from tests.storage.learning_samples import ATTEMPTS, CANDIDATE, LEASE_S, PARENT, claimed, use, verdict

ROOT = Path(__file__).parents[2]
WORKERS = 4
SECONDS = 1.5


@pytest.fixture
def databases(database_url: str) -> Iterator[list[Database]]:
    """One for each worker, as if in a process of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_database(database_url))) for _ in range(WORKERS)]


def at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """What each returned, or the AppError that it raised."""
    barrier = Barrier(len(calls))

    def call(one: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return one()
        except AppError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_of_those_who_open_a_run_one_does(databases: list[Database]):
    for _ in range(8):
        answers = at_once([partial(RunRepository(one).open, "automatic", "worker", {}) for one in databases])
        (run,) = [answer for answer in answers if isinstance(answer, LearningRun)]
        refused = [answer for answer in answers if isinstance(answer, ConflictError)]
        assert [(error.code, error.params["run_id"]) for error in refused] == [("run_active", run.run_id)] * (
            WORKERS - 1
        )
        RunRepository(databases[0]).cancel(run.run_id, "")
    assert AuditLog(databases[0]).verify().entries == 16


def test_of_those_who_claim_a_run_one_does(databases: list[Database]):
    for turn in range(8):
        opened = RunRepository(databases[0]).open("automatic", "worker", {})
        claims = [
            partial(RunRepository(one).claim, f"w{number}-{turn}", LEASE_S, ATTEMPTS)
            for number, one in enumerate(databases)
        ]
        answers = at_once(claims)
        (run,) = [answer for answer in answers if isinstance(answer, LearningRun)]
        assert answers.count(None) == WORKERS - 1
        assert (run.run_id, run.attempts) == (opened.run_id, 1)
        RunRepository(databases[0]).finish(run.run_id, str(run.lease_owner), "failed", "done")


def test_a_run_is_cancelled_or_decided_never_both(databases: list[Database]):
    runs, other = RunRepository(databases[0]), RunRepository(databases[1])
    for turn in range(8):
        run_id = claimed(runs, f"w{turn}").run_id
        cancelled, decided = at_once(
            [
                partial(other.cancel, run_id, ""),
                partial(runs.decide, run_id, f"w{turn}", "promote", None, CANDIDATE, {}),
            ]
        )
        run = runs.get(run_id)
        if run.decision is None:
            assert run.cancel_requested
            assert isinstance(decided, ConflictError)
        else:
            assert not run.cancel_requested
            assert isinstance(cancelled, ConflictError)
        runs.finish(run_id, f"w{turn}", "cancelled", None)


def test_what_is_purged_is_in_no_run(databases: list[Database]):
    """Whichever is first: the run cannot choose the row any more, or it is stopped."""
    runs, purger = RunRepository(databases[0]), Purger(databases[1])
    for turn in range(8):
        row = verdict(databases[0])
        analysis_id = FeedbackQueue(databases[0]).waiting()[-1].analysis_id or ""
        run_id = claimed(runs, f"w{turn}").run_id
        choose = partial(runs.select, run_id, f"w{turn}", PARENT, [use(row)], {"train": 1})
        chosen, purged = at_once([choose, partial(purger.purge_analysis, analysis_id)])
        assert isinstance(purged, PurgeReport)
        assert purged.feedback == 1
        if chosen is None:
            assert purged.stopped_run == run_id
            assert runs.get(run_id).cancel_requested
        else:
            assert isinstance(chosen, ConflictError)
            assert (chosen.code, purged.stopped_run) == ("feedback_gone", None)
        runs.finish(run_id, f"w{turn}", "cancelled", None)


def test_an_analysis_is_purged_by_one(databases: list[Database]):
    verdict(databases[0])
    analysis_id = FeedbackQueue(databases[0]).waiting()[0].analysis_id or ""
    answers = at_once([partial(Purger(one).purge_analysis, analysis_id) for one in databases])
    assert len([answer for answer in answers if isinstance(answer, PurgeReport)]) == 1
    assert len([answer for answer in answers if isinstance(answer, NotFoundError)]) == WORKERS - 1
    assert AuditLog(databases[0]).verify().entries == 1


def test_a_chain_with_many_writers_does_not_fork(databases: list[Database]):
    def write(number: int) -> None:
        for turn in range(15):
            AuditLog(databases[number]).append("worker", "run.opened", f"run_{number}_{turn}", {})

    assert at_once([partial(write, number) for number in range(WORKERS)]) == [None] * WORKERS
    report = AuditLog(databases[0]).verify()
    assert (report.entries, report.first_broken) == (15 * WORKERS, None)
    assert len({entry.subject for entry in AuditLog(databases[0]).entries()}) == 15 * WORKERS


def test_processes_claim_each_attempt_once(database: Database, database_url: str):
    start = time.time() + 3
    command = [sys.executable, "-W", "error", "-m", "tests.storage.racing_workers", database_url]
    workers = [
        subprocess.Popen(
            [*command, f"w{number}", str(start), str(SECONDS)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WORKERS)
    ]
    told = [worker.communicate(timeout=90) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS, told
    claims = Counter(line for printed, _ in told for line in printed.splitlines())
    assert len(claims) > 10
    assert set(claims.values()) == {1}
    runs = RunRepository(database).recent(100_000)
    claimed_runs = {line.split()[0] for line in claims}
    assert {run.run_id for run in runs if run.attempts} == claimed_runs
    assert all(f"{run.run_id} {attempt + 1}" in claims for run in runs for attempt in range(run.attempts))
    assert len([run for run in runs if run.finished_at is None]) <= 1
    log = AuditLog(database)
    assert log.verify().first_broken is None
    noted = Counter(entry.action for entry in log.entries(limit=100_000))
    assert noted["run.claimed"] == len(claims)
    assert noted["run.opened"] == len(runs)
    assert noted["run.failed"] == len([run for run in runs if run.state == "failed"])
