from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import select

from app.domain import Feedback
from app.errors import AppError, ConflictError, NotFoundError, StorageError
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.schema import AnalysisRow, FeedbackRow
from tests.storage.samples import analysis, evidence, give

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(database: Database) -> FeedbackRepository:
    return FeedbackRepository(database)


@pytest.fixture
def analysis_id(database: Database) -> str:
    case = analysis()
    AnalysisRepository(database).add(case, evidence(), text=None)
    return case.analysis_id


def rows(database: Database) -> list[FeedbackRow]:
    with database.reading() as session:
        return list(session.scalars(select(FeedbackRow)))


def test_every_field_is_stored_and_waits(database: Database, repository: FeedbackRepository, analysis_id: str):
    given = Feedback(
        is_correct=False, analysis_id=analysis_id, comments="심전도는 정상", corrected_diagnosis="공황장애"
    )
    stored = give(repository, given, condition_id="panic_disorder", key="k1", digest="d1", caller="c" * 64)
    (row,) = rows(database)
    assert (row.id, row.created_at) == (stored.feedback_id, stored.created_at)
    assert datetime.now(UTC) - row.created_at < timedelta(minutes=1)
    assert (row.analysis_id, row.is_correct, row.comments) == (analysis_id, False, "심전도는 정상")
    assert (row.corrected_diagnosis, row.corrected_condition_id, row.flagged_unknown) == (
        "공황장애",
        "panic_disorder",
        False,
    )
    assert (row.caller, row.idempotency_key, row.request_digest) == ("c" * 64, "k1", "d1")
    assert row.state == "waiting"
    assert stored.corrected_condition_id == "panic_disorder"
    assert not stored.replayed


def test_an_unknown_correction_is_stored_and_flagged(database: Database, repository: FeedbackRepository):
    given = Feedback(is_correct=False, query="q", prediction="p", corrected_diagnosis="Gulf War syndrome")
    assert give(repository, given).corrected_condition_id is None
    (row,) = rows(database)
    assert (row.corrected_diagnosis, row.flagged_unknown) == ("Gulf War syndrome", True)


def test_feedback_without_a_correction_is_not_flagged(database: Database, repository: FeedbackRepository):
    give(repository)
    (row,) = rows(database)
    assert (row.query, row.prediction, row.flagged_unknown) == ("두통", "편두통", False)


def test_feedback_on_an_unknown_analysis_is_refused(database: Database, repository: FeedbackRepository):
    with pytest.raises(NotFoundError, match="analysis_not_found"):
        give(repository, Feedback(is_correct=True, analysis_id="an_unknown"), key="k1")
    assert rows(database) == []


def test_a_refused_key_is_free_again(repository: FeedbackRepository):
    with pytest.raises(NotFoundError):
        give(repository, Feedback(is_correct=True, analysis_id="an_unknown"), key="k1", digest="d1")
    assert not give(repository, key="k1", digest="d2").replayed


def test_the_same_request_brings_the_same_row_back(database: Database, repository: FeedbackRepository):
    first = give(repository, key="k1", digest="d1", condition_id="migraine")
    again = give(repository, key="k1", digest="d1")
    assert again == replace(first, replayed=True)
    assert len(rows(database)) == 1


def test_another_request_under_the_key_is_a_conflict(database: Database, repository: FeedbackRepository):
    give(repository, key="k1", digest="d1")
    with pytest.raises(ConflictError, match="idempotency_key_reused"):
        give(repository, key="k1", digest="d2")
    assert len(rows(database)) == 1


@pytest.mark.parametrize("callers", [("a", "b"), (None, "a")])
def test_callers_do_not_share_keys(database: Database, repository: FeedbackRepository, callers: tuple[str | None, str]):
    for caller in callers:
        assert not give(repository, key="k1", digest=f"d-{caller}", caller=caller).replayed
    assert len(rows(database)) == 2


def test_without_a_key_every_call_is_a_row_and_no_digest_is_kept(database: Database, repository: FeedbackRepository):
    assert give(repository).feedback_id != give(repository).feedback_id
    assert [row.request_digest for row in rows(database)] == [None, None]


def test_a_request_is_replayed_even_when_its_analysis_is_gone(
    database: Database, repository: FeedbackRepository, analysis_id: str
):
    given = Feedback(is_correct=True, analysis_id=analysis_id)
    first = give(repository, given, key="k1")
    with database.writing() as session:
        session.execute(FeedbackRow.__table__.update().values(analysis_id=None))
        session.delete(session.get_one(AnalysisRow, analysis_id))
    assert give(repository, given, key="k1").feedback_id == first.feedback_id


def test_an_analysis_with_feedback_is_not_deleted_by_accident(
    database: Database, repository: FeedbackRepository, analysis_id: str
):
    give(repository, Feedback(is_correct=True, analysis_id=analysis_id))
    with pytest.raises(StorageError), database.writing() as session:
        session.delete(session.get_one(AnalysisRow, analysis_id))
    assert rows(database)[0].analysis_id == analysis_id


def test_threads_that_race_for_a_key_get_one_row(database: Database, repository: FeedbackRepository):
    threads, start = 8, Barrier(8)

    def race(key: str) -> list[str]:
        start.wait()
        return [give(repository, key=f"{key}-{turn}").feedback_id for turn in range(10)]

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(race, ["k"] * threads))
    assert all(answer == answers[0] for answer in answers)
    assert len(rows(database)) == 10


def test_threads_that_race_with_different_requests_get_one_row_and_conflicts(
    database: Database, repository: FeedbackRepository
):
    start = Barrier(6)

    def race(digest: str) -> str:
        start.wait()
        try:
            return give(repository, key="k1", digest=digest).feedback_id
        except AppError as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(race, [f"d{number}" for number in range(6)]))
    assert sorted(answers)[1:] == ["idempotency_key_reused"] * 5
    assert [row.id for row in rows(database)] == [sorted(answers)[0]]


RACER = """
import sys
from app.storage.database import open_database
from app.storage.feedback import FeedbackRepository
from tests.storage.samples import give
database = open_database(sys.argv[1])
repository = FeedbackRepository(database)
print("ready", flush=True)
sys.stdin.readline()
print(*[give(repository, key=f"k{turn}").feedback_id for turn in range(50)], flush=True)
database.close()
"""


def test_processes_that_open_and_race_together_get_one_row_for_each_key(database_url: str):
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RACER, database_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 3
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = {racer.communicate(timeout=60)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len(answers) == 1
    assert len(set(answers.pop().split())) == 50
