"""Analyses, their embeddings, and feedback.

A revision is history: it spells its columns out and imports nothing of `schema.py`, which goes on changing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_analyses()
    _create_embeddings()
    _create_feedback()


def downgrade() -> None:
    op.drop_table("feedback")
    op.drop_table("embeddings")
    op.drop_table("analyses")


def _create_analyses() -> None:
    op.create_table(
        "analyses",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("condition_id", sa.String(64), nullable=True),
        sa.Column("risk_score", sa.Double(), nullable=False),
        sa.Column("risk_level", sa.String(16), nullable=False),
        sa.Column("risk_confidence", sa.Double(), nullable=False),
        sa.Column("triage", sa.Integer(), nullable=False),
        sa.Column("modalities", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_analyses"),
    )
    op.create_index("ix_analyses_created_at", "analyses", ["created_at"])


def _create_embeddings() -> None:
    op.create_table(
        "embeddings",
        sa.Column("analysis_id", sa.String(64), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("encoder", sa.String(128), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(vector) = 4 * width", name=op.f("ck_embeddings_vector_is_whole")),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["analyses.id"], name="fk_embeddings_analysis_id_analyses", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("analysis_id", "ordinal", name="pk_embeddings"),
    )


def _create_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("analysis_id", sa.String(64), nullable=True),
        sa.Column("is_correct", sa.Boolean(), nullable=False),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("prediction", sa.Text(), nullable=True),
        sa.Column("comments", sa.Text(), nullable=True),
        sa.Column("corrected_diagnosis", sa.Text(), nullable=True),
        sa.Column("corrected_condition_id", sa.String(64), nullable=True),
        sa.Column("flagged_unknown", sa.Boolean(), nullable=False),
        sa.Column("caller", sa.String(128), nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=True),
        sa.Column("request_digest", sa.String(128), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name="fk_feedback_analysis_id_analyses"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("caller", "idempotency_key", name="uq_feedback_caller_idempotency_key"),
    )
    op.create_index("ix_feedback_state_created_at", "feedback", ["state", "created_at"])
    op.create_index("ix_feedback_analysis_id", "feedback", ["analysis_id"])
