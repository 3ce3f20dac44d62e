"""The tables. `migrations/` builds them: a test proves that both say the same.

Times are UTC. Ids are random (uuid4 in hex behind a prefix): callers see them, and a random id tells nobody when a case
came or how many there are; `created_at` carries the order and has its own index.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ID_CHARS = 64
WAITING, PROMOTED, REJECTED = "waiting", "promoted", "rejected"
"""A feedback row that no finished training has used yet; one that a promoted or a rejected run has used."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, UTC datetimes out; SQLite, which knows no zones, keeps the UTC wall time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without its zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class AnalysisRow(Base):
    """One answered case: what was answered, by which models, and the evidence to train on later."""

    __tablename__ = "analyses"
    __table_args__ = (Index(None, "created_at"),)

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime())
    status: Mapped[str] = mapped_column(String(32))
    language: Mapped[str] = mapped_column(String(8))
    profile: Mapped[str] = mapped_column(String(64))
    condition_id: Mapped[str | None] = mapped_column(String(ID_CHARS))
    """What was diagnosed; NULL where the evidence did not carry a diagnosis."""
    risk_score: Mapped[float] = mapped_column(Double)
    risk_level: Mapped[str] = mapped_column(String(16))
    risk_confidence: Mapped[float] = mapped_column(Double)
    triage: Mapped[int]
    modalities: Mapped[list[str]] = mapped_column(JSON)
    models: Mapped[dict[str, str]] = mapped_column(JSON)
    """Part -> version, as the answer named them."""
    result: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The whole answer; quotes are empty where `text` is NULL."""
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Findings, red flags and patient, as `records.evidence_document` writes them."""
    text: Mapped[str | None] = mapped_column(Text)
    """The caller's words, only where the operator keeps them."""

    embeddings: Mapped[list[EmbeddingRow]] = relationship(
        order_by="EmbeddingRow.ordinal", cascade="all, delete-orphan", passive_deletes=True
    )


class EmbeddingRow(Base):
    """One pooled embedding, in the order in which the encoders gave it."""

    __tablename__ = "embeddings"
    __table_args__ = (CheckConstraint("length(vector) = 4 * width", name="vector_is_whole"),)

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(String(32))
    encoder: Mapped[str] = mapped_column(String(128))
    """The version of the encoder that made it: vectors of different versions cannot be compared."""
    width: Mapped[int]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """float32, little endian, 4 * width bytes."""


class FeedbackRow(Base):
    """One verdict. An analysis that has one cannot be deleted without saying what becomes of it."""

    __tablename__ = "feedback"
    __table_args__ = (
        UniqueConstraint("caller", "idempotency_key"),
        Index(None, "state", "created_at"),
        Index(None, "analysis_id"),
    )

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime())
    analysis_id: Mapped[str | None] = mapped_column(ForeignKey("analyses.id"))
    is_correct: Mapped[bool]
    query: Mapped[str | None] = mapped_column(Text)
    prediction: Mapped[str | None] = mapped_column(Text)
    comments: Mapped[str | None] = mapped_column(Text)
    corrected_diagnosis: Mapped[str | None] = mapped_column(Text)
    """As the caller wrote it."""
    corrected_condition_id: Mapped[str | None] = mapped_column(String(ID_CHARS))
    flagged_unknown: Mapped[bool]
    """A correction was given, and the knowledge base knows no such condition."""
    caller: Mapped[str] = mapped_column(String(128))
    """Digest of the API key; empty without one. Never NULL: NULLs would not collide in the unique constraint."""
    idempotency_key: Mapped[str | None] = mapped_column(String(128))
    request_digest: Mapped[str | None] = mapped_column(String(128))
    """Only beside an idempotency key: nothing else needs it."""
    state: Mapped[str] = mapped_column(String(16), default=WAITING)


class LearningRunRow(Base):
    """One training run. `active` is 1 while it is, then NULL: the constraint lets one be active at a time."""

    __tablename__ = "learning_runs"
    __table_args__ = (UniqueConstraint("active"), Index(None, "created_at"))

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime())
    state: Mapped[str] = mapped_column(String(16))
    active: Mapped[int | None]
    trigger: Mapped[str] = mapped_column(String(16))
    requested_by: Mapped[str] = mapped_column(String(128))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    attempts: Mapped[int]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime())
    cancel_requested: Mapped[bool]
    parent_version: Mapped[str | None] = mapped_column(String(ID_CHARS))
    candidate_version: Mapped[str | None] = mapped_column(String(ID_CHARS))
    decision: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[dict[str, Any]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    counts: Mapped[dict[str, Any]] = mapped_column(JSON)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Empty until the gate has spoken."""


class RunFeedbackRow(Base):
    """What a run did with a feedback row. Goes when either goes."""

    __tablename__ = "run_feedback"
    __table_args__ = (Index(None, "feedback_id"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("learning_runs.id", ondelete="CASCADE"), primary_key=True)
    feedback_id: Mapped[str] = mapped_column(ForeignKey("feedback.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    weight: Mapped[float] = mapped_column(Double)


class AuditRow(Base):
    """One link of the audit chain. Triggers of the migration refuse to change or delete one."""

    __tablename__ = "audit_log"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1, 2, 3, ...: two writers of the same number collide, so the chain never forks."""
    at: Mapped[datetime] = mapped_column(UtcDateTime())
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
