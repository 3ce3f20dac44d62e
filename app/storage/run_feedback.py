"""What training runs do with feedback rows. Each function is part of its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import Session

from app.adaptation import ExclusionReason, FeedbackOutcome, FeedbackProgress, FeedbackRole, FeedbackUse, RunState
from app.errors import NotFoundError
from app.storage.schema import PROMOTED, REJECTED, WAITING, AnalysisRow, FeedbackRow, LearningRunRow, RunFeedbackRow

EXCLUDED: FeedbackRole = "excluded"
_SETTLED: dict[RunState, str] = {"promoted": PROMOTED, "rejected": REJECTED}


def replace_uses(session: Session, run_id: str, uses: Sequence[FeedbackUse]) -> None:
    """The run's rows are these from now on. ValueError where a feedback row is named twice."""
    if len({use.feedback_id for use in uses}) != len(uses):
        raise ValueError("a feedback row is used twice")
    session.execute(delete(RunFeedbackRow).where(RunFeedbackRow.run_id == run_id))
    if uses:
        session.execute(insert(RunFeedbackRow), [_use_document(run_id, use) for use in uses])


def settle(session: Session, run_id: str, state: RunState) -> None:
    """What a promoted or rejected run has used waits no longer. A promotion also settles what an earlier run was
    rejected with; what was promoted stays so."""
    if state not in _SETTLED:
        return
    used = select(RunFeedbackRow.feedback_id).where(RunFeedbackRow.run_id == run_id, RunFeedbackRow.role != EXCLUDED)
    session.execute(
        update(FeedbackRow)
        .where(FeedbackRow.id.in_(used), FeedbackRow.state.in_((WAITING, REJECTED)))
        .values(state=_SETTLED[state])
        .execution_options(synchronize_session=False)
    )


def feedback_progress(session: Session, feedback_id: str) -> FeedbackProgress:
    """NotFoundError("feedback_not_found")."""
    row = session.get(FeedbackRow, feedback_id)
    if row is None:
        raise NotFoundError("feedback_not_found")
    return _settled_progress(session, row) if row.state in _SETTLED.values() else _waiting_progress(session, row)


def _settled_progress(session: Session, row: FeedbackRow) -> FeedbackProgress:
    """As the run has it that settled the row: the first to end so, for later ones judge themselves on it too."""
    if row.state == REJECTED:
        again = session.execute(_uses(row).where(LearningRunRow.active.is_not(None))).first()
        if again is not None and again[1].role != EXCLUDED:
            return _progress(row, "in_training", run_id=again[0].id, role=again[1].role)
    chosen = (
        _uses(row)
        .where(RunFeedbackRow.role != EXCLUDED, LearningRunRow.state == row.state)
        .order_by(LearningRunRow.finished_at)
    )
    found = session.execute(chosen.limit(1)).one_or_none()
    if found is None:  # purged since we looked
        raise NotFoundError("feedback_not_found")
    run, use = found
    if row.state == PROMOTED:
        return _progress(row, "promoted", run_id=run.id, version=run.candidate_version, role=use.role)
    return _progress(row, "rejected", reason=run.reason, run_id=run.id, role=use.role)


def _waiting_progress(session: Session, row: FeedbackRow) -> FeedbackProgress:
    found = session.execute(_uses(row).order_by(LearningRunRow.created_at.desc()).limit(1)).one_or_none()
    if found is not None:
        run, use = found
        if use.role == EXCLUDED:
            return _progress(row, "unusable", reason=use.reason, run_id=run.id, role=use.role)
        if run.active is not None:
            return _progress(row, "in_training", run_id=run.id, role=use.role)
    reason = _plain_exclusion(session, row)
    return _progress(row, "waiting" if reason is None else "unusable", reason=reason)


def _uses(row: FeedbackRow) -> Select[LearningRunRow, RunFeedbackRow]:
    """The runs that looked at the row, and what they did with it."""
    return (
        select(LearningRunRow, RunFeedbackRow)
        .join(RunFeedbackRow, RunFeedbackRow.run_id == LearningRunRow.id)
        .where(RunFeedbackRow.feedback_id == row.id)
    )


def _plain_exclusion(session: Session, row: FeedbackRow) -> ExclusionReason | None:
    """What no run has to be waited for, whatever network serves."""
    if row.analysis_id is None:
        return "no_analysis"
    if row.flagged_unknown:
        return "unknown_label"
    if row.corrected_condition_id is not None:
        return None
    shown = session.scalar(select(AnalysisRow.condition_id).where(AnalysisRow.id == row.analysis_id))
    return None if row.is_correct and shown is not None else "no_label"


def _progress(
    row: FeedbackRow,
    outcome: FeedbackOutcome,
    *,
    reason: str | None = None,
    run_id: str | None = None,
    version: str | None = None,
    role: str | None = None,
) -> FeedbackProgress:
    return FeedbackProgress(
        feedback_id=row.id,
        created_at=row.created_at,
        caller=row.caller,
        outcome=outcome,
        reason=reason,
        run_id=run_id,
        version=version,
        role=cast(FeedbackRole | None, role),
    )


def _use_document(run_id: str, use: FeedbackUse) -> dict[str, object]:
    return {
        "run_id": run_id,
        "feedback_id": use.feedback_id,
        "role": use.role,
        "reason": use.reason,
        "weight": use.weight,
    }
