"""Feedback: each row is one user's verdict, and a place in the queue of what is to be learnt from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.domain import Feedback, StoredFeedback
from app.errors import ConflictError, NotFoundError
from app.storage.database import Database
from app.storage.failures import RowConflictError
from app.storage.schema import WAITING, AnalysisRow, FeedbackRow

ANONYMOUS = ""


@dataclass(frozen=True, slots=True)
class _Submission:
    """One call of `add`."""

    feedback: Feedback
    corrected_condition_id: str | None
    idempotency_key: str | None
    request_digest: str
    caller: str


class FeedbackRepository:
    """Thread-safe. Blocking; StorageError where the database cannot do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        feedback: Feedback,
        *,
        corrected_condition_id: str | None,
        idempotency_key: str | None,
        request_digest: str,
        caller: str | None,
    ) -> StoredFeedback:
        """Durable when it returns; of one idempotency key and caller there is one row, however many race for it.

        The row of an earlier call with the same digest comes back with `replayed`; ConflictError
        ("idempotency_key_reused") for another digest; NotFoundError("analysis_not_found").
        """
        submission = _Submission(feedback, corrected_condition_id, idempotency_key, request_digest, caller or ANONYMOUS)
        try:
            return self._store(submission)
        except RowConflictError:  # another process took the key, or removed the analysis, since we looked: look again
            return self._store(submission)

    def _store(self, submission: _Submission) -> StoredFeedback:
        with self._database.writing() as session:
            earlier = _earlier(session, submission)
            if earlier is not None:
                return earlier
            _refuse_unknown_analysis(session, submission.feedback.analysis_id)
            row = _row(submission)
            session.add(row)
        return _stored(row, replayed=False)


def _earlier(session: Session, submission: _Submission) -> StoredFeedback | None:
    if submission.idempotency_key is None:
        return None
    row = session.scalar(
        select(FeedbackRow).where(
            FeedbackRow.caller == submission.caller, FeedbackRow.idempotency_key == submission.idempotency_key
        )
    )
    if row is None:
        return None
    if row.request_digest != submission.request_digest:
        raise ConflictError("idempotency_key_reused")
    return _stored(row, replayed=True)


def _refuse_unknown_analysis(session: Session, analysis_id: str | None) -> None:
    if analysis_id is not None and not session.scalar(select(exists().where(AnalysisRow.id == analysis_id))):
        raise NotFoundError("analysis_not_found")


def _row(submission: _Submission) -> FeedbackRow:
    feedback, condition_id = submission.feedback, submission.corrected_condition_id
    return FeedbackRow(
        id=f"fb_{uuid.uuid4().hex}",
        created_at=datetime.now(UTC),
        analysis_id=feedback.analysis_id,
        is_correct=feedback.is_correct,
        query=feedback.query,
        prediction=feedback.prediction,
        comments=feedback.comments,
        corrected_diagnosis=feedback.corrected_diagnosis,
        corrected_condition_id=condition_id,
        flagged_unknown=feedback.corrected_diagnosis is not None and condition_id is None,
        caller=submission.caller,
        idempotency_key=submission.idempotency_key,
        request_digest=None if submission.idempotency_key is None else submission.request_digest,
        state=WAITING,
    )


def _stored(row: FeedbackRow, *, replayed: bool) -> StoredFeedback:
    return StoredFeedback(row.id, row.created_at, row.corrected_condition_id, replayed)
