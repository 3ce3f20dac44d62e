"""Feedback as the learning loop reads it: rows in the order in which they came, and the cases that they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer, selectinload

from app.adaptation import QueuedFeedback, StoredCase
from app.storage.database import Database
from app.storage.records import evidence_of
from app.storage.run_feedback import EXCLUDED
from app.storage.schema import (
    PROMOTED,
    REJECTED,
    WAITING,
    AnalysisRow,
    EmbeddingRow,
    FeedbackRow,
    LearningRunRow,
    RunFeedbackRow,
)

_CHUNK = 500
"""Ids in one statement: SQLite takes no more than 32,766 values, older builds 999."""

_WORDS = (FeedbackRow.query, FeedbackRow.prediction, FeedbackRow.comments, FeedbackRow.corrected_diagnosis)
_UNREAD = tuple(defer(column, raiseload=True) for column in _WORDS)


class FeedbackQueue:
    """Reads only. Thread-safe. Blocking; StorageError where the database cannot do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self) -> tuple[QueuedFeedback, ...]:
        """Rows that no finished run has learnt from, oldest first, usable or not."""
        return self._in_state(WAITING)

    def rejected(self, fewer_than: int) -> tuple[QueuedFeedback, ...]:
        """Rows that fewer than so many rejected runs have used, and no promoted one: worth another try beside what came
        since. Oldest first."""
        tries = (
            select(RunFeedbackRow.feedback_id)
            .join(LearningRunRow, LearningRunRow.id == RunFeedbackRow.run_id)
            .where(LearningRunRow.state == REJECTED, RunFeedbackRow.role != EXCLUDED)
            .group_by(RunFeedbackRow.feedback_id)
            .having(func.count() >= fewer_than)
        )
        with self._database.reading() as session:
            tired = set(session.scalars(tries))
        return tuple(row for row in self._in_state(REJECTED) if row.feedback_id not in tired)

    def learnt(self, versions: Collection[str]) -> tuple[QueuedFeedback, ...]:
        """Rows that one of these versions was promoted with, learnt from or judged on, oldest first."""
        used = (
            select(RunFeedbackRow.feedback_id)
            .join(LearningRunRow, LearningRunRow.id == RunFeedbackRow.run_id)
            .where(
                LearningRunRow.state == PROMOTED,
                LearningRunRow.candidate_version.in_(versions),
                RunFeedbackRow.role != EXCLUDED,
            )
        )
        with self._database.reading() as session:
            known = set(session.scalars(used))
        return tuple(row for row in self._in_state(PROMOTED) if row.feedback_id in known)

    def cases(self, analysis_ids: Sequence[str]) -> dict[str, StoredCase]:
        """Analysis id -> what can be learnt from it. Those that are gone are left out."""
        found: dict[str, StoredCase] = {}
        remaining = iter(dict.fromkeys(analysis_ids))
        while chunk := list(islice(remaining, _CHUNK)):
            with self._database.reading() as session:
                found.update((row.id, _case(row)) for row in session.scalars(_analyses(chunk)))
        return found

    def _in_state(self, state: str) -> tuple[QueuedFeedback, ...]:
        chosen = (
            select(FeedbackRow, AnalysisRow.condition_id)
            .outerjoin(AnalysisRow, FeedbackRow.analysis_id == AnalysisRow.id)
            .options(*_UNREAD)
            .where(FeedbackRow.state == state)
            .order_by(FeedbackRow.created_at, FeedbackRow.id)
        )
        with self._database.reading() as session:
            rows = session.execute(chosen).all()
            encoders = _encoders_of(session, state)
        return tuple(queued(row, shown, encoders.get(row.analysis_id or "", {})) for row, shown in rows)


def queued(row: FeedbackRow, shown_condition_id: str | None, encoders: Mapping[str, str]) -> QueuedFeedback:
    """The row without anybody's words."""
    return QueuedFeedback(
        feedback_id=row.id,
        created_at=row.created_at,
        caller=row.caller,
        is_correct=row.is_correct,
        analysis_id=row.analysis_id,
        shown_condition_id=shown_condition_id,
        corrected_condition_id=row.corrected_condition_id,
        has_correction=row.corrected_condition_id is not None or row.flagged_unknown,
        encoders=encoders,
    )


def _encoders_of(session: Session, state: str) -> dict[str, dict[str, str]]:
    """Analysis id -> source -> version of the encoder, for every analysis with feedback in `state`."""
    chosen = (
        select(EmbeddingRow.analysis_id, EmbeddingRow.source, EmbeddingRow.encoder)
        .join(FeedbackRow, FeedbackRow.analysis_id == EmbeddingRow.analysis_id)
        .where(FeedbackRow.state == state)
        .distinct()
    )
    encoders: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for analysis_id, source, encoder in session.execute(chosen):
        encoders[analysis_id][source] = encoder
    return encoders


def _analyses(ids: Sequence[str]) -> Select[AnalysisRow]:
    """Without the words and the answer, which nothing is learnt from."""
    return (
        select(AnalysisRow)
        .options(
            defer(AnalysisRow.text, raiseload=True),
            defer(AnalysisRow.result, raiseload=True),
            selectinload(AnalysisRow.embeddings),
        )
        .where(AnalysisRow.id.in_(ids))
    )


def _case(row: AnalysisRow) -> StoredCase:
    return StoredCase(row.id, evidence_of(row), {item.source: item.encoder for item in row.embeddings})
