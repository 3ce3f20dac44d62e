"""What the services need from the parts below them, as protocols: tests and other implementations fit in here."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.adaptation import (
    ActiveVersion,
    AuditEntry,
    FeedbackProgress,
    LearningRun,
    QueuedFeedback,
    Trigger,
    VersionInfo,
)
from app.domain import (
    Analysis,
    AnalysisStatus,
    Case,
    CaseRequest,
    ClinicalScore,
    Embedding,
    Evidence,
    Feedback,
    Finding,
    Language,
    Patient,
    Prediction,
    RedFlag,
    RiskLevel,
    StoredFeedback,
)
from app.encoders.session import Cancellation
from app.knowledge.schema import Specialty


class CaseEncoder(Protocol):
    """A case in, one pooled embedding per modality segment out; called from one thread at a time."""

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        """Empty where the case holds nothing that this encoder reads. DeadlineError once cancelled.

        `keep=False`: not through the cache.
        """
        ...

    def truncates(self, text: str) -> bool:
        """Whether `encode` reads only the beginning of this text."""
        ...


class Predictor(Protocol):
    """Evidence in, calibrated prediction out."""

    @property
    def version(self) -> str: ...

    @property
    def conditions(self) -> Sequence[str]:
        """The condition ids that it tells apart."""
        ...

    @property
    def sequence_layout(self) -> str:
        """ "independent" where no segment of a case sees another one."""
        ...

    def predict(self, evidence: Evidence) -> Prediction: ...

    def log_odds(self, variants: Sequence[Evidence], condition_id: str) -> list[float]:
        """The condition's calibrated log odds in each of several variants of one case."""
        ...


class VersionSource(Protocol):
    """Where versions of the predictor come from. Blocking; called from one thread."""

    def stamp(self) -> Hashable:
        """Cheap; another one whenever another version was made the active one. StorageError."""
        ...

    def active(self) -> ActiveVersion:
        """The version that is to serve. ArtifactError where nobody can say, StorageError."""
        ...

    def load(self, version: str) -> Predictor:
        """Checked and warm. NotFoundError, ArtifactError where it must not be served, StorageError."""
        ...


class ConditionEntry(Protocol):
    """What an answer states of a condition beside its name."""

    @property
    def icd10(self) -> str: ...

    @property
    def specialty(self) -> Specialty:
        """For grouping; `Knowledge.specialty_name` words it."""
        ...


class Knowledge(Protocol):
    """The conditions, findings and advice that an answer is worded with. Thread-safe: it only reads."""

    @property
    def version(self) -> str: ...

    @property
    def conditions(self) -> Mapping[str, ConditionEntry]:
        """By condition id."""
        ...

    def extract_findings(self, text: str) -> tuple[Finding, ...]: ...

    def extract_patient(self, text: str) -> Patient:
        """Age, sex and vital signs that the text itself states."""
        ...

    def red_flags(self, findings: tuple[Finding, ...], patient: Patient, language: Language) -> tuple[RedFlag, ...]:
        """Named in `language`."""
        ...

    def scores(self, findings: tuple[Finding, ...], patient: Patient, language: Language) -> tuple[ClinicalScore, ...]:
        """Published scores that the vital signs allow, worded in `language`."""
        ...

    def match_condition(self, wording: str) -> str | None:
        """The condition id for an id, an ICD-10 code or a name in either language."""
        ...

    def recommendations(self, condition_id: str, level: RiskLevel, language: Language) -> tuple[str, ...]: ...

    def name(self, condition_id: str, language: Language) -> str: ...

    def specialty_name(self, specialty: Specialty, language: Language) -> str: ...

    def finding_name(self, finding_id: str, language: Language) -> str: ...


class MediaDecoder(Protocol):
    """File bytes to pixels, samples and frames, within limits that are checked before anything is decoded."""

    def decode(self, request: CaseRequest, language: Language) -> Case: ...


class AnalysisStore(Protocol):
    """Durable analyses. Blocking; called from the storage threads."""

    def add(self, analysis: Analysis, evidence: Evidence, *, text: str | None) -> None:
        """Durable when it returns. StorageError where nothing could be written.

        `text` is None, and every quote empty, unless the operator keeps texts.
        """
        ...

    def ping(self) -> None:
        """StorageError when the database does not answer."""
        ...


class FeedbackStore(Protocol):
    """Durable feedback. Blocking; called from the storage threads."""

    def add(
        self,
        feedback: Feedback,
        *,
        corrected_condition_id: str | None,
        idempotency_key: str | None,
        request_digest: str,
        caller: str | None,
    ) -> StoredFeedback:
        """Durable when it returns.

        An `idempotency_key` seen before brings back the earlier row (`replayed=True`) where `request_digest` is the
        same, ConflictError("idempotency_key_reused") where it is not. NotFoundError("analysis_not_found") for an
        analysis that is not stored. StorageError where nothing could be written. `caller` names the API key (a digest
        of it).
        """
        ...


class RunStore(Protocol):
    """Durable learning runs. Blocking; StorageError where the database cannot do its part."""

    def open(self, trigger: Trigger, requested_by: str, settings: Mapping[str, Any]) -> LearningRun:
        """A queued run. ConflictError("run_active") while there is an active one."""
        ...

    def cancel(self, run_id: str, requested_by: str) -> LearningRun:
        """NotFoundError("run_not_found"); ConflictError: run_decided, run_finished."""
        ...

    def get(self, run_id: str) -> LearningRun:
        """NotFoundError("run_not_found")."""
        ...

    def active(self) -> LearningRun | None: ...

    def recent(self, limit: int) -> Sequence[LearningRun]:
        """Newest first."""
        ...

    def feedback(self, feedback_id: str) -> FeedbackProgress:
        """NotFoundError("feedback_not_found")."""
        ...


class FeedbackQueuePort(Protocol):
    """Feedback as something to learn from. Blocking; StorageError."""

    def waiting(self) -> Sequence[QueuedFeedback]:
        """Rows that no finished run has used, oldest first."""
        ...

    def rejected(self, fewer_than: int) -> Sequence[QueuedFeedback]:
        """Rows that fewer than so many rejected runs have used, and no promoted one."""
        ...


class AuditStore(Protocol):
    """The append-only log of who did what. Blocking; StorageError."""

    def append(self, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> AuditEntry:
        """Durable when it returns."""
        ...

    def entries(self, after: int = 0, limit: int = 1000, *, subject: str | None = None) -> Sequence[AuditEntry]:
        """Oldest first, with a sequence above `after`; those about `subject` where it is given."""
        ...


class VersionStore(Protocol):
    """The versions on disk and the pointer to the active one. Blocking; ArtifactError where they cannot be read."""

    def infos(self) -> Sequence[VersionInfo]:
        """Newest first, the base version last."""
        ...

    def info(self, version: str) -> VersionInfo:
        """NotFoundError("version_not_found")."""
        ...

    def active(self) -> ActiveVersion: ...

    def activate(
        self,
        version: str,
        *,
        by: str,
        run_id: str | None,
        expected: str | None = None,
        audit_head: str | None = None,
    ) -> ActiveVersion:
        """Points at it, atomically. ArtifactError where it must not be served; ConflictError("version_changed") where
        another version than `expected` is active."""
        ...


@dataclass(frozen=True, slots=True)
class LearningStores:
    """What the learning loop keeps: runs, the queue of feedback, the audit log and the versions."""

    runs: RunStore
    queue: FeedbackQueuePort
    audit: AuditStore
    versions: VersionStore


class Observer(Protocol):
    """Counts and times, nothing that says who or what. Called from any thread."""

    def stage(self, name: str, seconds: float) -> None: ...

    def analysed(self, status: AnalysisStatus, modalities: tuple[str, ...], language: Language) -> None: ...

    def not_stored(self) -> None: ...

    def feedback_stored(self, *, is_correct: bool, replayed: bool) -> None: ...

    def version_swapped(self, seconds: float) -> None:
        """From noticing to serving."""
        ...

    def version_refused(self) -> None: ...
