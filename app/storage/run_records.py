"""Training runs as rows and back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from app.adaptation import Decision, LearningRun, RunProgress, RunState, Trigger
from app.storage.schema import LearningRunRow


def new_run_row(trigger: Trigger, requested_by: str, settings: Mapping[str, Any], now: datetime) -> LearningRunRow:
    """Queued, claimed by nobody, and the one active run."""
    return LearningRunRow(
        id=f"run_{uuid.uuid4().hex}",
        created_at=now,
        state="queued",
        active=1,
        trigger=trigger,
        requested_by=requested_by,
        attempts=0,
        cancel_requested=False,
        progress={},
        settings=dict(settings),
        counts={},
        report={},
    )


def run_of(row: LearningRunRow) -> LearningRun:
    return LearningRun(
        run_id=row.id,
        state=cast(RunState, row.state),
        trigger=cast(Trigger, row.trigger),
        requested_by=row.requested_by,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        parent_version=row.parent_version,
        candidate_version=row.candidate_version,
        decision=cast(Decision | None, row.decision),
        reason=row.reason,
        cancel_requested=row.cancel_requested,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        progress=_progress_of(row.progress),
        settings=row.settings,
        counts=row.counts,
        report=row.report or None,
    )


def progress_document(progress: RunProgress) -> dict[str, Any]:
    return {"step": progress.step, "share": progress.share, "detail": dict(progress.detail)}


def _progress_of(document: Mapping[str, Any]) -> RunProgress | None:
    return RunProgress(document["step"], document["share"], document["detail"]) if document else None
