"""Frozen types of the learning loop: runs, what becomes of feedback, versions, the audit log.

Imports nothing of the project but `domain`. Times are aware, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from app.domain import Evidence

RunState = Literal["queued", "running", "gating", "promoted", "rejected", "failed", "cancelled"]
ACTIVE_STATES: tuple[RunState, ...] = ("queued", "running", "gating")
TERMINAL_STATES: tuple[RunState, ...] = ("promoted", "rejected", "failed", "cancelled")
Trigger = Literal["automatic", "manual"]
Decision = Literal["promote", "reject"]
FeedbackRole = Literal["train", "validation", "held_out", "excluded"]
ExclusionReason = Literal[
    "no_analysis",  # the verdict names no stored analysis
    "no_label",  # it confirms an answer that abstained, or says wrong without saying what is right
    "unknown_label",  # the correction is no condition of the catalogue, or none that the network knows
    "other_encoder",  # the embeddings were made by another encoder revision
    "contradicted",  # verdicts on the same case name different conditions
    "duplicate",  # the same case and label were counted already
]
FeedbackOutcome = Literal["waiting", "unusable", "in_training", "promoted", "rejected"]
MAX_REJECTIONS = 3
"""Runs that may be rejected with a row before it is tried no more: one bad row must not hold up the loop for good."""
WORKER = "worker"
"""The actor of what no person asked for."""


@dataclass(frozen=True, slots=True)
class QueuedFeedback:
    """A feedback row as the learning loop sees it: no words of anybody."""

    feedback_id: str
    created_at: datetime
    caller: str
    """Digest of the API key; empty without one."""
    is_correct: bool
    analysis_id: str | None
    shown_condition_id: str | None
    """What the analysis diagnosed; None where it abstained or there is none."""
    corrected_condition_id: str | None
    has_correction: bool
    """A correction was given, known to the catalogue or not."""
    encoders: Mapping[str, str] = field(default_factory=dict)
    """Source of each stored embedding -> version of the encoder that made it."""


@dataclass(frozen=True, slots=True)
class FeedbackUse:
    """What a run did with one feedback row."""

    feedback_id: str
    role: FeedbackRole
    weight: float
    """How much of a row it counted in training, 0 to 1; 0 where it was not trained on."""
    reason: ExclusionReason | None = None


@dataclass(frozen=True, slots=True)
class StoredCase:
    """An analysis as it can be learnt from: no words, no media."""

    analysis_id: str
    evidence: Evidence
    encoders: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunProgress:
    """`step`: one of selecting, training, calibrating, gating, publishing; `share` of it that is done, 0 to 1."""

    step: str
    share: float
    detail: Mapping[str, float] = field(default_factory=dict)
    """Figures of the moment, such as epoch and validation_loss."""


@dataclass(frozen=True, slots=True)
class LearningRun:
    """One attempt to make a better version."""

    run_id: str
    state: RunState
    trigger: Trigger
    requested_by: str
    """Caller's digest, empty for no key, or WORKER."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    parent_version: str | None
    candidate_version: str | None
    decision: Decision | None
    """What the gate said; set before anything is activated."""
    reason: str | None
    """Stable code of why it was rejected, failed or cancelled."""
    cancel_requested: bool
    lease_owner: str | None
    lease_until: datetime | None
    progress: RunProgress | None
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    """Rows by role, and excluded rows by reason."""
    report: Mapping[str, Any] | None
    """The whole change record, as JSON."""


@dataclass(frozen=True, slots=True)
class FeedbackProgress:
    """What became of one feedback row."""

    feedback_id: str
    created_at: datetime
    caller: str
    outcome: FeedbackOutcome
    reason: str | None
    """Why it is unusable, or why the run that used it was rejected."""
    run_id: str | None
    version: str | None
    """The version that was promoted with it."""
    role: FeedbackRole | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the append-only chain; `digest` covers every other field."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version of the fusion network. The base version has neither parent nor run."""

    version: str
    parent: str | None
    run_id: str | None
    created_at: datetime | None
    counts: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    code_revision: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    """What the pointer says. `sequence` counts activations; 0 where there was none yet: the base version serves."""

    version: str
    sequence: int
    activated_at: datetime | None = None
    activated_by: str | None = None
    run_id: str | None = None
