"""Removing analyses, with everything that was made from them, and saying what had learnt from them.

What goes: the analysis, its embeddings, its feedback, and what training runs noted about that feedback. What stays: the
versions that were trained with it, which the report and the audit log name, and the audit log itself, which knows the
analysis by a digest of its id alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.orm import Session, defer

from app.adaptation import WORKER
from app.errors import NotFoundError
from app.storage.audit import Clock, append_entry, utc_now
from app.storage.database import Database
from app.storage.run_feedback import EXCLUDED
from app.storage.schema import PROMOTED, AnalysisRow, EmbeddingRow, FeedbackRow, LearningRunRow, RunFeedbackRow

_CHUNK = 200
_WIPE_TRIES, _WIPE_WAIT_S = 10, 0.2
_RUNS = select(LearningRunRow).options(
    defer(LearningRunRow.report), defer(LearningRunRow.settings), defer(LearningRunRow.counts)
)
"""Without what is long: a purge of many analyses reads them for each."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What was removed in one transaction."""

    analysis_sha256: str | None
    """SHA-256 of the analysis id; None for feedback that was about no analysis."""
    analyses: int
    embeddings: int
    feedback: int
    versions: tuple[str, ...]
    """Versions that were trained or judged with the removed feedback. They keep what they learnt."""
    descendants: tuple[str, ...]
    """Versions that were made from one of those, or by a later run: it trains again on what was promoted before."""
    stopped_run: str | None
    """The training run that was using the feedback, and is being cancelled for that."""
    is_wiped: bool = True
    """False where a reader kept SQLite's write-ahead log from being emptied: `wipe` again."""


class Purger:
    """Thread-safe, and safe beside the service and its workers. Blocking; StorageError.

    `actor` is who asks, for the audit log.
    """

    def __init__(
        self,
        database: Database,
        *,
        actor: str = WORKER,
        clock: Clock = utc_now,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._actor = actor
        self._clock = clock
        self._wait = wait

    def purge_analysis(self, analysis_id: str) -> PurgeReport:
        """NotFoundError("analysis_not_found")."""
        report = self._purge_analysis(analysis_id)
        return replace(report, is_wiped=self.wipe())

    def purge_older_than(self, cutoff: datetime) -> tuple[PurgeReport, ...]:
        """Analyses made before `cutoff`, oldest first, a transaction each; then feedback of that age about none."""
        reports = (*self._purge_analyses(cutoff), *self._purge_strays(cutoff))
        is_wiped = self.wipe()
        return tuple(replace(report, is_wiped=is_wiped) for report in reports)

    def _purge_analyses(self, cutoff: datetime) -> Iterator[PurgeReport]:
        old = select(AnalysisRow.id).where(AnalysisRow.created_at < cutoff).order_by(AnalysisRow.created_at)
        while ids := self._chunk(old):
            for analysis_id in ids:
                with suppress(NotFoundError):  # another purge was first
                    yield self._purge_analysis(analysis_id)

    def _purge_strays(self, cutoff: datetime) -> Iterator[PurgeReport]:
        old = select(FeedbackRow.id).where(FeedbackRow.analysis_id.is_(None), FeedbackRow.created_at < cutoff)
        while ids := self._chunk(old):
            with self._database.writing() as session:
                _hold_runs(session)
                yield self._remove(session, select(FeedbackRow.id).where(FeedbackRow.id.in_(ids)), None)

    def _chunk(self, chosen: Select[str]) -> list[str]:
        with self._database.reading() as session:
            return list(session.scalars(chosen.limit(_CHUNK)))

    def _purge_analysis(self, analysis_id: str) -> PurgeReport:
        with self._database.writing() as session:
            _hold_runs(session)
            # locked, so that no verdict on it comes in between
            chosen = select(AnalysisRow.id).where(AnalysisRow.id == analysis_id).with_for_update()
            if session.scalar(chosen) is None:
                raise NotFoundError("analysis_not_found")
            return self._remove(
                session, select(FeedbackRow.id).where(FeedbackRow.analysis_id == analysis_id), analysis_id
            )

    def _remove(self, session: Session, feedback: Select[str], analysis_id: str | None) -> PurgeReport:
        """`feedback` chooses ids; the analysis with its embeddings goes too where one is given."""
        runs = _runs_that_used(session, feedback)
        later = _runs_after(session, runs)
        rows = session.scalar(select(func.count()).select_from(feedback.subquery())) or 0
        embeddings = _count_embeddings(session, analysis_id)
        session.execute(delete(FeedbackRow).where(FeedbackRow.id.in_(feedback)))
        session.execute(delete(AnalysisRow).where(AnalysisRow.id == analysis_id))
        versions = _promoted(runs)
        report = PurgeReport(
            analysis_sha256=None if analysis_id is None else hashlib.sha256(analysis_id.encode()).hexdigest(),
            analyses=0 if analysis_id is None else 1,
            embeddings=embeddings,
            feedback=rows,
            versions=tuple(sorted(versions)),
            descendants=tuple(sorted((_descendants(session, versions) | _promoted(later)) - versions)),
            stopped_run=self._stop(session, (*runs, *later)),
        )
        append_entry(
            session,
            self._actor,
            "data.purged",
            report.analysis_sha256 or "feedback",
            _details(report),
            at=self._clock(),
        )
        return report

    def _stop(self, session: Session, runs: Iterable[LearningRunRow]) -> str | None:
        """Nothing is promoted any more that was made with what goes. Of a decided run the report names the version."""
        for run in runs:
            if run.active is None or run.decision is not None:
                continue
            if not run.cancel_requested:
                run.cancel_requested = True
                append_entry(
                    session, self._actor, "run.cancel_requested", run.id, {"reason": "purge"}, at=self._clock()
                )
            return run.id
        return None

    def wipe(self) -> bool:
        """Empty SQLite's write-ahead log of removed rows. False where somebody goes on reading what is in it."""
        for _ in range(_WIPE_TRIES - 1):
            if self._database.checkpoint():
                return True
            self._wait(_WIPE_WAIT_S)
        return self._database.checkpoint()


def _hold_runs(session: Session) -> None:
    """Until the transaction ends no run changes, so none chooses rows that go. Readers are not held up."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time as it is
        session.execute(text("LOCK TABLE learning_runs IN EXCLUSIVE MODE"))


def _runs_that_used(session: Session, feedback: Select[str]) -> list[LearningRunRow]:
    using = select(RunFeedbackRow.run_id).where(
        RunFeedbackRow.feedback_id.in_(feedback), RunFeedbackRow.role != EXCLUDED
    )
    return list(session.scalars(_RUNS.where(LearningRunRow.id.in_(using))))


def _runs_after(session: Session, runs: Iterable[LearningRunRow]) -> list[LearningRunRow]:
    """Runs that began after one of `runs` was promoted: they may have trained again on what that one had used."""
    promoted_at = min((run.finished_at for run in runs if run.state == PROMOTED and run.finished_at), default=None)
    if promoted_at is None:
        return []
    return list(session.scalars(_RUNS.where(LearningRunRow.started_at >= promoted_at)))


def _promoted(runs: Iterable[LearningRunRow]) -> set[str]:
    return {run.candidate_version for run in runs if run.decision == "promote" and run.candidate_version}


def _descendants(session: Session, versions: Iterable[str]) -> set[str]:
    """Versions whose line of parents has one of `versions` in it."""
    chosen = select(LearningRunRow.parent_version, LearningRunRow.candidate_version).where(
        LearningRunRow.decision == "promote"
    )
    lines = [(parent, child) for parent, child in session.execute(chosen) if parent and child]
    reached, grown = set(versions), True
    while grown:
        children = {child for parent, child in lines if parent in reached}
        grown = not children <= reached
        reached |= children
    return reached


def _count_embeddings(session: Session, analysis_id: str | None) -> int:
    chosen = select(func.count()).select_from(EmbeddingRow).where(EmbeddingRow.analysis_id == analysis_id)
    return session.scalar(chosen) or 0


def _details(report: PurgeReport) -> dict[str, Any]:
    told = asdict(report)
    return {name: told[name] for name in ("analyses", "embeddings", "feedback", "versions", "descendants")}
