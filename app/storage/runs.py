"""Training runs: at most one is active, one worker at a time holds it by a lease, and each change of state is audited.

A lease is the name of its owner and a time. Whoever writes to a run locks its row and shows that the name is still its
own, so a worker that was taken for dead and comes back writes nothing. The clocks of the workers' machines must agree
to within a fraction of the lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.adaptation import (
    TERMINAL_STATES,
    WORKER,
    Decision,
    FeedbackProgress,
    FeedbackUse,
    LearningRun,
    RunProgress,
    RunState,
    Trigger,
)
from app.errors import ConflictError, LeaseLostError, NotFoundError
from app.storage.audit import LOCAL, Clock, append_entry, digest_of, utc_now
from app.storage.database import Database
from app.storage.failures import RowConflictError
from app.storage.run_feedback import feedback_progress, replace_uses, settle
from app.storage.run_records import new_run_row, progress_document, run_of
from app.storage.schema import LearningRunRow

WORKER_LOST = "worker_lost"
CANCEL_REQUESTED = "cancel_requested"
_OPENING_TRIES = 5
"""Each is lost only to another process that opened a run in the moment between look and write."""


class RunRepository:
    """Thread-safe, and safe among processes. Blocking; StorageError where the database cannot do its part.

    What takes an `owner` raises LeaseLostError, and writes nothing, where the run is not held by it any more.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    # --- runs as anybody sees them
    def get(self, run_id: str) -> LearningRun:
        """NotFoundError("run_not_found")."""
        with self._database.reading() as session:
            row = session.get(LearningRunRow, run_id)
            if row is None:
                raise NotFoundError("run_not_found")
            return run_of(row)

    def active(self) -> LearningRun | None:
        """The run that is queued, running or gating."""
        with self._database.reading() as session:
            row = session.scalar(select(LearningRunRow).where(LearningRunRow.active == 1))
            return None if row is None else run_of(row)

    def recent(self, limit: int) -> tuple[LearningRun, ...]:
        """Newest first."""
        chosen = select(LearningRunRow).order_by(LearningRunRow.created_at.desc(), LearningRunRow.id).limit(limit)
        with self._database.reading() as session:
            return tuple(run_of(row) for row in session.scalars(chosen))

    def feedback(self, feedback_id: str) -> FeedbackProgress:
        """What became of a feedback row. NotFoundError("feedback_not_found")."""
        with self._database.reading() as session:
            return feedback_progress(session, feedback_id)

    # --- asked for
    def open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, Any]) -> LearningRun:
        """Queued. ConflictError("run_active", run_id=) while another run is active, however many race for it."""
        for _ in range(_OPENING_TRIES):
            try:
                return self._open(trigger, requested_by, settings)
            except RowConflictError:  # another process opened one since we looked: look again
                continue
        raise ConflictError("run_active", run_id="")

    def _open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, Any]) -> LearningRun:
        with self._database.writing() as session:
            active = session.scalar(select(LearningRunRow.id).where(LearningRunRow.active == 1))
            if active is not None:
                raise ConflictError("run_active", run_id=active)
            row = new_run_row(trigger, requested_by, settings, self._clock())
            session.add(row)
            session.flush()
            self._note(session, row, "run.opened", {"trigger": trigger}, actor=requested_by)
            return run_of(row)

    def cancel(self, run_id: str, requested_by: str) -> LearningRun:
        """Over at once where no worker holds the run; else the worker is told by its next heartbeat.

        NotFoundError("run_not_found"); ConflictError("run_decided") once the gate has spoken, ("run_finished") after
        the end.
        """
        with self._database.writing() as session:
            row = _locked(session, run_id)
            if row is None:
                raise NotFoundError("run_not_found")
            if row.active is None:
                raise ConflictError("run_finished", run_id=run_id)
            if row.decision is not None:
                raise ConflictError("run_decided", run_id=run_id)
            if not self._is_held(row):
                self._end(session, row, "cancelled", CANCEL_REQUESTED, actor=requested_by)
            elif not row.cancel_requested:
                row.cancel_requested = True
                self._note(session, row, "run.cancel_requested", {}, actor=requested_by)
            return run_of(row)

    # --- a worker's
    def claim(self, owner: str, lease_s: float, max_attempts: int) -> LearningRun | None:
        """The run to work on: queued, or left by a worker whose lease is over. None where there is none.

        `owner` names one attempt: never use a name twice. A run that was to be cancelled, or whose attempts are used
        up, ends here. A run with a decision stays gating, and has as many attempts again to be brought to its end.
        """
        with self._database.writing() as session:
            row = session.scalar(select(LearningRunRow).where(LearningRunRow.active == 1).with_for_update())
            if row is None or self._is_held(row):
                return None
            if row.cancel_requested:
                self._end(session, row, "cancelled", CANCEL_REQUESTED)
                return None
            if row.attempts >= max_attempts * (1 if row.decision is None else 2):
                self._end(session, row, "failed", _why_given_up(row))
                return None
            self._take(row, owner, lease_s)
            self._note(session, row, "run.claimed", {"attempt": row.attempts})
            return run_of(row)

    def _take(self, row: LearningRunRow, owner: str, lease_s: float) -> None:
        now = self._clock()
        row.attempts += 1
        row.started_at = row.started_at or now
        row.lease_owner, row.lease_until = owner, now + timedelta(seconds=lease_s)
        if row.decision is None:
            row.state, row.reason = "running", None

    def heartbeat(self, run_id: str, owner: str, lease_s: float, progress: RunProgress | None) -> bool:
        """The lease runs from now again. True where the run is to be cancelled."""
        with self._database.writing() as session:
            row = _held(session, run_id, owner)
            row.lease_until = self._clock() + timedelta(seconds=lease_s)
            if progress is not None:
                row.progress = progress_document(progress)
            return row.cancel_requested

    def select(
        self, run_id: str, owner: str, parent_version: str, uses: Sequence[FeedbackUse], counts: Mapping[str, int]
    ) -> None:
        """What the run does with each feedback row, instead of what was said before.

        ConflictError("feedback_gone") where a row was purged since it was read: choose anew.
        """
        try:
            with self._database.writing() as session:
                row = _held(session, run_id, owner)
                replace_uses(session, run_id, uses)
                row.parent_version, row.counts = parent_version, dict(counts)
                details = {"parent_version": parent_version, "counts": row.counts}
                self._note(session, row, "run.selected", details)
        except RowConflictError as error:
            raise ConflictError("feedback_gone", run_id=run_id) from error

    def gating(self, run_id: str, owner: str) -> None:
        """Trained: the candidate is being judged from here on."""
        with self._database.writing() as session:
            row = _held(session, run_id, owner)
            row.state = "gating"
            self._note(session, row, "run.gating", {})

    def decide(  # noqa: PLR0917 - in the order in which they are asked
        self,
        run_id: str,
        owner: str,
        decision: Decision,
        reason: str | None,
        candidate_version: str | None,
        report: Mapping[str, Any],
    ) -> None:
        """What the gate says, kept before anything is activated; it stands from here on.

        ConflictError("cancel_requested") where somebody cancelled before; ("run_decided") where a decision stands.
        """
        with self._database.writing() as session:
            row = _held(session, run_id, owner)
            if row.decision is not None:
                raise ConflictError("run_decided", run_id=run_id)
            if row.cancel_requested:
                raise ConflictError(CANCEL_REQUESTED, run_id=run_id)
            row.state, row.decision, row.reason = "gating", decision, reason
            row.candidate_version, row.report = candidate_version, dict(report)
            details = {"decision": decision, "reason": reason, "report_sha256": digest_of(report)}
            self._note(session, row, "run.decided", {**details, **_versions(row)})

    def finish(self, run_id: str, owner: str, state: RunState, reason: str | None) -> None:
        """The end; feedback that a promoted or rejected run has used waits no longer.

        ValueError for a state that is no end, and for a promotion that the gate has not decided.
        """
        if state not in TERMINAL_STATES:
            raise ValueError(f"{state} is no end of a run")
        with self._database.writing() as session:
            row = _held(session, run_id, owner)
            if state == "promoted" and row.decision != "promote":
                raise ValueError("a run is promoted only where its gate says so")
            self._end(session, row, state, reason)

    def requeue(self, run_id: str, owner: str, reason: str, *, counts: bool = True) -> None:
        """Given back in order: the next claim takes it up at once. `reason` is a stable code of why.

        `counts`: whether it was one of the run's attempts; not where the worker was only told to end.
        """
        with self._database.writing() as session:
            row = _held(session, run_id, owner)
            row.lease_owner = row.lease_until = None
            row.attempts -= 0 if counts else 1
            if row.decision is None:
                row.state, row.reason = "queued", reason
            self._note(session, row, "run.requeued", {"reason": reason})

    def release(self, owner: str) -> None:
        """For whoever knows that the worker `owner` is dead: its lease is over now. Nothing where it holds none."""
        with self._database.writing() as session:
            session.execute(
                update(LearningRunRow)
                .where(LearningRunRow.lease_owner == owner, LearningRunRow.active == 1)
                .values(lease_owner=None, lease_until=self._clock())
            )

    # --- within a transaction
    def _is_held(self, row: LearningRunRow) -> bool:
        return row.lease_owner is not None and row.lease_until is not None and row.lease_until > self._clock()

    def _end(
        self, session: Session, row: LearningRunRow, state: RunState, reason: str | None, *, actor: str = WORKER
    ) -> None:
        row.state, row.reason, row.finished_at = state, reason, self._clock()
        row.active = row.lease_owner = row.lease_until = None
        settle(session, row.id, state)
        self._note(session, row, f"run.{state}", {"reason": reason, **_versions(row)}, actor=actor)

    def _note(
        self, session: Session, row: LearningRunRow, action: str, details: Mapping[str, Any], *, actor: str = WORKER
    ) -> None:
        append_entry(session, actor or LOCAL, action, row.id, details, at=self._clock())


def _locked(session: Session, run_id: str) -> LearningRunRow | None:
    """The row, which nobody else writes to until the transaction ends."""
    return session.scalar(select(LearningRunRow).where(LearningRunRow.id == run_id).with_for_update())


def _held(session: Session, run_id: str, owner: str) -> LearningRunRow:
    row = _locked(session, run_id)
    if row is None or row.active is None or row.lease_owner != owner:
        raise LeaseLostError(run_id)
    return row


def _why_given_up(row: LearningRunRow) -> str:
    """A worker that gave the run back has said why; one that died has not."""
    return row.reason if row.state == "queued" and row.reason else WORKER_LOST


def _versions(row: LearningRunRow) -> dict[str, str | None]:
    return {"parent_version": row.parent_version, "candidate_version": row.candidate_version}
