from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.adaptation import RunState
from app.domain import Feedback
from app.errors import NotFoundError
from app.storage.analyses import AnalysisRepository
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.feedback_queue import FeedbackQueue
from app.storage.purging import Purger, PurgeReport
from app.storage.runs import RunRepository
from app.storage.schema import AnalysisRow, EmbeddingRow, FeedbackRow, RunFeedbackRow
from tests.storage.learning_samples import (
    ATTEMPTS,
    CANDIDATE,
    LEASE_S,
    PARENT,
    StandingClock,
    claimed,
    ended,
    use,
    verdict,
)
from tests.storage.samples import QUOTE, analysis, evidence, give

SECRET_COMMENT = "환자 김철수, 010-1234-5678"


@pytest.fixture
def purger(database: Database) -> Purger:
    return Purger(database, actor="operator")


def store(database: Database, *, days_ago: float = 0, verdicts: int = 1) -> str:
    """The id of an analysis with feedback."""
    case = replace(analysis(), created_at=datetime.now(UTC) - timedelta(days=days_ago))
    AnalysisRepository(database).add(case, evidence(), text=QUOTE)
    for _ in range(verdicts):
        given = Feedback(is_correct=True, analysis_id=case.analysis_id, comments=SECRET_COMMENT)
        give(FeedbackRepository(database), given)
    return case.analysis_id


def stray(database: Database, *, days_ago: float) -> str:
    feedback_id = give(FeedbackRepository(database)).feedback_id
    with database.writing() as session:
        made = datetime.now(UTC) - timedelta(days=days_ago)
        session.execute(update(FeedbackRow).where(FeedbackRow.id == feedback_id).values(created_at=made))
    return feedback_id


def feedback_of(database: Database, analysis_id: str) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(FeedbackRow.id).where(FeedbackRow.analysis_id == analysis_id)))


def counts(database: Database) -> list[int]:
    with database.reading() as session:
        tables = (AnalysisRow, EmbeddingRow, FeedbackRow, RunFeedbackRow)
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def cutoff(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


# --- one analysis
def test_an_analysis_goes_with_all_that_belongs_to_it(database: Database, purger: Purger):
    gone, kept = store(database, verdicts=2), store(database)
    report = purger.purge_analysis(gone)
    assert report == PurgeReport(hashlib.sha256(gone.encode()).hexdigest(), 1, 4, 2, (), (), None, is_wiped=True)
    assert counts(database) == [1, 4, 1, 0]
    assert len(AnalysisRepository(database).evidence(kept).embeddings) == 4


def test_an_analysis_is_purged_once(database: Database, purger: Purger):
    gone = store(database)
    purger.purge_analysis(gone)
    with pytest.raises(NotFoundError, match="analysis_not_found"):
        purger.purge_analysis(gone)
    assert len(AuditLog(database).entries()) == 1


def test_the_log_knows_the_analysis_by_a_digest_alone(database: Database, purger: Purger):
    gone = store(database)
    report = purger.purge_analysis(gone)
    (entry,) = AuditLog(database).entries()
    assert (entry.actor, entry.action, entry.subject) == ("operator", "data.purged", report.analysis_sha256)
    assert entry.details == {"analyses": 1, "embeddings": 4, "feedback": 1, "versions": [], "descendants": []}
    assert gone not in repr(entry)


def test_the_versions_that_had_learnt_from_it_are_named(
    database: Database, runs: RunRepository, purger: Purger, clock: StandingClock
):
    gone, other = store(database), store(database)
    (row,), (other_row,) = feedback_of(database, gone), feedback_of(database, other)
    ended(runs, [use(verdict(database))], parent=PARENT, candidate="9" * 12)
    clock.advance(60)
    ended(runs, [use(row), use(other_row)], candidate=CANDIDATE)
    ended(runs, [use(row, "held_out")], parent=CANDIDATE, candidate="2" * 12)
    ended(runs, [use(verdict(database))], parent="2" * 12, candidate="3" * 12)
    ended(runs, [use(verdict(database))], "rejected", parent="3" * 12, candidate="8" * 12)
    report = purger.purge_analysis(gone)
    assert (report.versions, report.descendants) == ((CANDIDATE, "2" * 12), ("3" * 12,))
    assert AuditLog(database).entries(subject=str(report.analysis_sha256))[0].details["versions"] == [
        CANDIDATE,
        "2" * 12,
    ]
    assert runs.feedback(other_row).version == CANDIDATE
    with pytest.raises(NotFoundError):
        runs.feedback(row)


def test_a_later_run_has_trained_again_on_what_was_promoted_from_whatever_version_it_began(
    database: Database, runs: RunRepository, purger: Purger
):
    gone = store(database)
    ended(runs, [use(row) for row in feedback_of(database, gone)], candidate=CANDIDATE)
    ended(runs, [use(verdict(database))], parent=PARENT, candidate="9" * 12)  # after a rollback
    report = purger.purge_analysis(gone)
    assert (report.versions, report.descendants) == ((CANDIDATE,), ("9" * 12,))


@pytest.mark.parametrize("state", ["rejected", "failed", "cancelled"])
def test_runs_that_promoted_nothing_name_no_version(
    state: RunState, database: Database, runs: RunRepository, purger: Purger
):
    gone = store(database)
    ended(runs, [use(row) for row in feedback_of(database, gone)], state)
    assert purger.purge_analysis(gone).versions == ()


def test_an_excluded_row_was_not_used(database: Database, runs: RunRepository, purger: Purger):
    gone = store(database)
    left_out = [use(row, "excluded") for row in feedback_of(database, gone)]
    ended(runs, [*left_out, use(verdict(database))])
    assert purger.purge_analysis(gone).versions == ()


# --- while a run is under way
def test_a_run_that_uses_it_is_stopped(database: Database, runs: RunRepository, purger: Purger):
    gone, kept = store(database), verdict(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [*(use(row) for row in feedback_of(database, gone)), use(kept)], {"train": 2})
    assert purger.purge_analysis(gone).stopped_run == run_id
    assert runs.heartbeat(run_id, "w1", LEASE_S, None) is True
    assert [entry.action for entry in AuditLog(database).entries()][-2:] == ["run.cancel_requested", "data.purged"]
    runs.finish(run_id, "w1", "cancelled", "cancel_requested")
    assert [row.feedback_id for row in FeedbackQueue(database).waiting()] == [kept]


def test_a_run_that_trains_again_on_what_was_promoted_is_stopped(
    database: Database, runs: RunRepository, purger: Purger
):
    gone = store(database)
    ended(runs, [use(row) for row in feedback_of(database, gone)])
    run_id = claimed(runs).run_id
    assert purger.purge_analysis(gone).stopped_run == run_id
    assert runs.heartbeat(run_id, "w1", LEASE_S, None) is True


def test_a_run_that_nobody_has_begun_goes_on(database: Database, runs: RunRepository, purger: Purger):
    gone = store(database)
    ended(runs, [use(row) for row in feedback_of(database, gone)])
    runs.open("manual", "", {})
    assert purger.purge_analysis(gone).stopped_run is None


def test_a_run_that_only_left_it_out_goes_on(database: Database, runs: RunRepository, purger: Purger):
    gone = store(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(row, "excluded") for row in feedback_of(database, gone)], {})
    assert purger.purge_analysis(gone).stopped_run is None
    assert runs.heartbeat(run_id, "w1", LEASE_S, None) is False


def test_of_a_run_with_a_decision_the_version_is_named(database: Database, runs: RunRepository, purger: Purger):
    gone = store(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(row) for row in feedback_of(database, gone)], {"train": 1})
    runs.decide(run_id, "w1", "promote", None, CANDIDATE, {})
    report = purger.purge_analysis(gone)
    assert (report.versions, report.stopped_run) == ((CANDIDATE,), None)
    runs.finish(run_id, "w1", "promoted", None)


def test_a_stopped_run_whose_worker_is_dead_ends(database: Database, runs: RunRepository, purger: Purger):
    gone = store(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(row) for row in feedback_of(database, gone)], {"train": 1})
    purger.purge_analysis(gone)
    runs.release("w1")
    assert runs.claim("w2", LEASE_S, ATTEMPTS) is None
    assert runs.get(run_id).state == "cancelled"


# --- by age
def test_what_is_older_goes_and_nothing_else(database: Database, purger: Purger):
    old = {store(database, days_ago=days) for days in (400, 366)}
    recent = store(database, days_ago=364)
    old_stray, recent_stray = stray(database, days_ago=366), stray(database, days_ago=364)
    reports = purger.purge_older_than(cutoff(365))
    assert {report.analysis_sha256 for report in reports} == {
        *(hashlib.sha256(name.encode()).hexdigest() for name in old),
        None,
    }
    assert [report.feedback for report in reports] == [1, 1, 1]
    assert [report.analyses for report in reports] == [1, 1, 0]
    assert counts(database) == [1, 4, 2, 0]
    assert feedback_of(database, recent)
    with database.reading() as session:
        left = set(session.scalars(select(FeedbackRow.id)))
    assert recent_stray in left
    assert old_stray not in left


def test_recent_feedback_on_an_old_analysis_goes_with_it(database: Database, purger: Purger):
    store(database, days_ago=366)
    assert [report.feedback for report in purger.purge_older_than(cutoff(365))] == [1]
    assert counts(database) == [0, 0, 0, 0]


def test_more_than_one_part_goes_in_one_call(database: Database, purger: Purger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.storage.purging._CHUNK", 2)
    for _ in range(5):
        store(database, days_ago=10)
        stray(database, days_ago=10)
    reports = purger.purge_older_than(cutoff(5))
    assert [(report.analyses, report.feedback) for report in reports] == [(1, 1)] * 5 + [(0, 2), (0, 2), (0, 1)]
    assert counts(database) == [0, 0, 0, 0]
    assert AuditLog(database).verify().entries == 8


def test_nothing_old_leaves_no_trace(database: Database, purger: Purger):
    store(database)
    assert purger.purge_older_than(cutoff(1)) == ()
    assert AuditLog(database).entries() == ()


# --- nothing stays on the disk
def words_on_disk(folder: Path) -> list[str]:
    words = (QUOTE, SECRET_COMMENT)
    return [path.name for path in folder.iterdir() if any(word.encode() in path.read_bytes() for word in words)]


def test_no_word_is_left_in_the_files_while_the_service_goes_on(sqlite_database: Database, sqlite_path: Path):
    gone = store(sqlite_database)
    assert words_on_disk(sqlite_path.parent) == ["medmodal.db-wal"]
    assert Purger(sqlite_database).purge_analysis(gone).is_wiped
    assert words_on_disk(sqlite_path.parent) == []
    assert sqlite_path.with_name("medmodal.db-wal").stat().st_size == 0
    store(sqlite_database)


def test_a_reader_in_the_way_is_waited_for(sqlite_database: Database, sqlite_path: Path):
    gone = store(sqlite_database)
    reader = sqlite_database.reading()
    reader.__enter__().scalar(select(func.count()).select_from(AnalysisRow))
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            reader.__exit__(None, None, None)

    assert Purger(sqlite_database, wait=wait).purge_analysis(gone).is_wiped
    assert len(waits) == 3
    assert words_on_disk(sqlite_path.parent) == []


def test_a_reader_that_stays_in_the_way_is_told_of(sqlite_database: Database, sqlite_path: Path):
    gone = store(sqlite_database)
    with sqlite_database.reading() as session:
        session.scalar(select(func.count()).select_from(AnalysisRow))
        report = Purger(sqlite_database, wait=lambda _seconds: None).purge_analysis(gone)
        assert not report.is_wiped
        give(FeedbackRepository(sqlite_database))
    assert sqlite_database.checkpoint()
    assert words_on_disk(sqlite_path.parent) == []
