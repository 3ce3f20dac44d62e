"""Wire types of the learning loop's answers. Who did something is told to admins alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from app.adaptation import (
    ActiveVersion,
    AuditEntry,
    Decision,
    ExclusionReason,
    FeedbackOutcome,
    FeedbackProgress,
    FeedbackRole,
    LearningRun,
    RunProgress,
    RunState,
    Trigger,
    VersionInfo,
)
from app.api.answers import AnswerModel
from app.api.messages.catalogue import outcome_text
from app.domain import Language
from app.services.host import RefusedVersion
from app.services.learning import ChangeRecord, LearningStatus, VersionsStatus

_WHO = "Digest of the API key, worker or local; only admins are told, null for everyone else"


class FeedbackProgressAnswer(AnswerModel):
    """What became of one feedback."""

    feedback_id: str
    created_at: datetime
    outcome: FeedbackOutcome
    reason: str | None = Field(description="unusable: why; rejected: what the run said. A stable code")
    run_id: str | None = Field(description="The run that uses or used it")
    version: str | None = Field(description="The version that was promoted with it")
    role: FeedbackRole | None = Field(description="What the run did with it")
    message: str = Field(description="The same in sentences")

    @classmethod
    def of(cls, progress: FeedbackProgress, language: Language) -> Self:
        return cls(
            feedback_id=progress.feedback_id,
            created_at=progress.created_at,
            outcome=progress.outcome,
            reason=progress.reason,
            run_id=progress.run_id,
            version=progress.version,
            role=progress.role,
            message=outcome_text(progress.outcome, progress.reason, language),
        )


class RunProgressAnswer(AnswerModel):
    step: str = Field(description="selecting, training, calibrating, gating, publishing")
    share: float = Field(ge=0, le=1, description="How much of the step is done")
    detail: dict[str, float] = Field(description="Figures of the moment, such as epoch and validation_loss")

    @classmethod
    def of(cls, progress: RunProgress) -> Self:
        return cls(step=progress.step, share=progress.share, detail=dict(progress.detail))


class LearningRunAnswer(AnswerModel):
    """One attempt to make a better version."""

    run_id: str
    state: RunState
    trigger: Trigger
    requested_by: str | None = Field(description=_WHO)
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="How often a worker has taken it up")
    parent_version: str | None = Field(description="The version that it started from")
    candidate_version: str | None = Field(description="The version that it made")
    decision: Decision | None = Field(description="What the gate said")
    reason: str | None = Field(description="Why it was rejected, failed or cancelled; a stable code")
    cancel_requested: bool
    progress: RunProgressAnswer | None
    counts: dict[str, int] = Field(description="Feedback rows by role, and excluded ones by reason")
    settings: dict[str, Any] = Field(description="What it is trained with")
    has_change_record: bool = Field(description="Whether `change-record` answers")

    @classmethod
    def of(cls, run: LearningRun, *, is_admin: bool) -> Self:
        return cls(
            run_id=run.run_id,
            state=run.state,
            trigger=run.trigger,
            requested_by=run.requested_by or "local" if is_admin else None,
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            attempts=run.attempts,
            parent_version=run.parent_version,
            candidate_version=run.candidate_version,
            decision=run.decision,
            reason=run.reason,
            cancel_requested=run.cancel_requested,
            progress=run.progress and RunProgressAnswer.of(run.progress),
            counts=dict(run.counts),
            settings=dict(run.settings),
            has_change_record=bool(run.report),
        )


class WaitingAnswer(AnswerModel):
    """Feedback that no finished run has used."""

    usable: int = Field(ge=0)
    unusable: dict[ExclusionReason, int] = Field(description="By reason")


class LearningAnswer(AnswerModel):
    """Where the learning loop stands."""

    enabled: bool = Field(description="Whether this server learns (LORA_ENABLED)")
    waiting: WaitingAnswer
    threshold: int = Field(ge=1, description="Usable rows that start a run (LEARNING_MIN_FEEDBACK)")
    active_run: LearningRunAnswer | None
    active_version: str = Field(description="What was chosen to serve")
    serving_version: str = Field(description="What answers now: follows within seconds")
    last_runs: list[LearningRunAnswer] = Field(description="Ten at most, newest first")

    @classmethod
    def of(cls, status: LearningStatus, *, is_admin: bool) -> Self:
        run = status.active_run
        return cls(
            enabled=status.enabled,
            waiting=WaitingAnswer.model_validate(
                {"usable": status.waiting.usable, "unusable": dict(status.waiting.unusable)}
            ),
            threshold=status.threshold,
            active_run=run and LearningRunAnswer.of(run, is_admin=is_admin),
            active_version=status.active_version,
            serving_version=status.serving_version,
            last_runs=[LearningRunAnswer.of(item, is_admin=is_admin) for item in status.last_runs],
        )


class VersionAnswer(AnswerModel):
    """A version of the fusion network. The one that the service came with has neither parent nor run."""

    version: str
    parent: str | None
    run_id: str | None
    created_at: datetime | None
    counts: dict[str, int] = Field(description="Feedback rows that it learnt from, by role")
    figures: dict[str, Any] = Field(description="What the gate measured")
    settings: dict[str, Any] = Field(description="What it was trained with")
    code_revision: str | None

    @classmethod
    def of(cls, info: VersionInfo) -> Self:
        return cls(
            version=info.version,
            parent=info.parent,
            run_id=info.run_id,
            created_at=info.created_at,
            counts=dict(info.counts),
            figures=dict(info.figures),
            settings=dict(info.settings),
            code_revision=info.code_revision,
        )


class ActiveVersionAnswer(AnswerModel):
    """What was chosen to serve."""

    version: str
    sequence: int = Field(description="Counts activations; 0: the version that the service came with")
    activated_at: datetime | None
    activated_by: str | None = Field(description=_WHO)
    run_id: str | None = Field(description="The run that made it")

    @classmethod
    def of(cls, active: ActiveVersion, *, is_admin: bool) -> Self:
        return cls(
            version=active.version,
            sequence=active.sequence,
            activated_at=active.activated_at,
            activated_by=active.activated_by if is_admin else None,
            run_id=active.run_id,
        )


class RefusedVersionAnswer(AnswerModel):
    """The active version cannot be loaded: another one goes on answering. The server's log says more."""

    version: str | None = Field(description="null where it is not even known which is active")
    code: str = Field(description="Why; a stable code")
    since: datetime

    @classmethod
    def of(cls, refused: RefusedVersion) -> Self:
        return cls(version=refused.version, code=refused.code, since=refused.since)


class VersionsAnswer(AnswerModel):
    """Every version, and which one serves."""

    active: ActiveVersionAnswer
    serving_version: str = Field(description="What answers now: follows within seconds")
    refused: RefusedVersionAnswer | None = Field(description="Why the active version does not answer, if it cannot")
    versions: list[VersionAnswer] = Field(description="Newest first; the last is the one that the service came with")

    @classmethod
    def of(cls, status: VersionsStatus, *, is_admin: bool) -> Self:
        return cls(
            active=ActiveVersionAnswer.of(status.active, is_admin=is_admin),
            serving_version=status.serving_version,
            refused=status.refused and RefusedVersionAnswer.of(status.refused),
            versions=[VersionAnswer.of(info) for info in status.versions],
        )


class ActivationAnswer(AnswerModel):
    """When a run's version was put into service: an entry of the audit log."""

    action: str = Field(description="version.activating, version.activated, version.not_activated")
    sequence: int = Field(description="Its entry in the audit log")
    at: datetime
    by: str
    version: str
    digest: str = Field(description="Of the audit entry")

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            action=entry.action,
            sequence=entry.sequence,
            at=entry.at,
            by=entry.actor,
            version=entry.subject,
            digest=entry.digest,
        )


class ChangeRecordAnswer(AnswerModel):
    """The change record as data; docs/LEARNING.md explains its parts."""

    report: dict[str, Any] = Field(description="modification, protocol, impact and decision")
    activations: list[ActivationAnswer] = Field(description="Oldest first")

    @classmethod
    def of(cls, record: ChangeRecord) -> Self:
        return cls(report=dict(record.report), activations=[ActivationAnswer.of(item) for item in record.activations])
