"""A queue of feedback to train on, made from the learning sets: for measuring, and for tests."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from app.domain import Analysis, Embedding, Evidence, Feedback, Finding, NamedCandidate, Risk, Source
from app.fusion.artifact import FusionConfig
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.training.tokens import LabelledTokens


def evidence_of(case: LabelledTokens, finding_ids: Sequence[str]) -> Evidence:
    """What the database would hold of a learning case; its vital signs are left out."""
    embeddings: list[Embedding] = []
    findings: list[Finding] = []
    for token in case.tokens:
        if token.source == Source.FINDINGS.value:
            half = len(finding_ids)
            places = [int(place) for place in np.flatnonzero(token.vector)]
            findings = [Finding(finding_ids[place % half], place < half, "", 0, 0) for place in places]
        elif token.source != Source.VITALS.value:
            embeddings.append(Embedding(Source(token.source), token.vector))
    return Evidence(tuple(embeddings), tuple(findings))


class Desk:
    """Stores analyses as the service would, and verdicts on them."""

    def __init__(self, database: Database, config: FusionConfig, encoders: dict[str, str]) -> None:
        """`encoders`: `omni` and `medical` -> the version that the embeddings are stored under."""
        self._analyses = AnalysisRepository(database)
        self._feedback = FeedbackRepository(database)
        self._config = config
        self._encoders = encoders

    def see(self, case: LabelledTokens, label: int, *, caller: str) -> str:
        """An analysis that answered the case's own condition, and a verdict that it was `label`: the verdict's id."""
        conditions = self._config.conditions
        shown, meant = conditions[case.condition], conditions[label]
        analysis_id = f"an_{uuid.uuid4().hex}"
        self._analyses.add(self._answer(analysis_id, shown), evidence_of(case, self._config.finding_ids), text=None)
        is_right = shown == meant
        verdict = Feedback(
            is_correct=is_right, analysis_id=analysis_id, corrected_diagnosis=None if is_right else meant
        )
        stored = self._feedback.add(
            verdict,
            corrected_condition_id=verdict.corrected_diagnosis,
            idempotency_key=None,
            request_digest="",
            caller=caller,
        )
        return stored.feedback_id

    def _answer(self, analysis_id: str, condition: str) -> Analysis:
        return Analysis(
            analysis_id=analysis_id,
            status="ok",
            language="en",
            diagnosis=condition,
            risk=Risk(score=0.4, level="moderate", confidence=0.9, triage=4),
            recommendations=(),
            differential=(NamedCandidate(condition, "R69", condition, 0.9),),
            findings=(),
            red_flags=(),
            categories=(),
            modalities=("text",),
            attribution={},
            coverage=0.9,
            set_size=1,
            profile="embedded",
            models=dict(self._encoders),
            timings_ms={},
            warnings=(),
            created_at=datetime.now(UTC),
        )
