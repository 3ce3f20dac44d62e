"""Analyses, evidence and feedback to store."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import numpy as np

from app.domain import (
    Analysis,
    AnalysisStatus,
    ClinicalScore,
    Embedding,
    Evidence,
    Feedback,
    Finding,
    NamedCandidate,
    NamedFinding,
    Patient,
    RedFlag,
    Risk,
    Source,
    StoredFeedback,
    Vitals,
)
from app.storage.feedback import FeedbackRepository

QUOTE = "가슴이 조이듯이 아프고 식은땀이 나요"
FINDING_IDS = ("chest_pain", "sweating", "fever")
WIDTHS = {Source.OMNI_TEXT: 24, Source.OMNI_IMAGE: 24, Source.MEDICAL_TEXT: 40}


def an_id() -> str:
    return f"an_{uuid.uuid4().hex}"


def evidence(seed: int = 0, *, images: int = 2) -> Evidence:
    generator = np.random.default_rng(seed)
    sources = [Source.OMNI_TEXT, *[Source.OMNI_IMAGE] * images, Source.MEDICAL_TEXT]
    return Evidence(
        embeddings=tuple(
            Embedding(source, generator.standard_normal(WIDTHS[source], dtype=np.float32)) for source in sources
        ),
        findings=(Finding("chest_pain", True, QUOTE, 0, 12), Finding("fever", False, "열은 없어요", 30, 36)),
        red_flags=(RedFlag("crushing_chest_pain", "high", 2, "쥐어짜는 가슴 통증"),),
        patient=Patient(age=61.0, sex="male", vitals=Vitals(sbp=92.0, spo2=93.5), consciousness="alert", pain=8),
        scores=(ClinicalScore("NEWS2", 3, "low_medium", True, "moderate", 3, "NEWS2 3점", "RCP 2017"),),
    )


def analysis(analysis_id: str | None = None, *, status: AnalysisStatus = "ok") -> Analysis:
    return Analysis(
        analysis_id=analysis_id or an_id(),
        status=status,
        language="ko",
        diagnosis="급성 심근경색",
        risk=Risk(score=0.93, level="critical", confidence=0.81, triage=1),
        recommendations=("지금 바로 119에 연락하십시오.",),
        differential=(
            NamedCandidate("acute_myocardial_infarction", "I21.9", "급성 심근경색", 0.83),
            NamedCandidate("stable_angina", "I20.9", "안정형 협심증", 0.11),
        ),
        findings=(
            NamedFinding("가슴 통증", True, QUOTE, "present", 0.5),
            NamedFinding("발열", False, "열은 없어요", "absent"),
        ),
        red_flags=("쥐어짜는 가슴 통증",),
        categories=("심장내과",),
        modalities=("text", "image", "vitals"),
        attribution={"omni/text": 0.6, "medical/text": 0.4},
        coverage=0.9,
        set_size=2,
        profile="embedded",
        models={"omni": "a" * 64, "medical": "b" * 64, "fusion": "base-1", "knowledge": "c" * 64},
        timings_ms={"omni": 71.25},
        warnings=(),
        created_at=datetime.now(UTC),
    )


def give(
    repository: FeedbackRepository,
    feedback: Feedback | None = None,
    *,
    condition_id: str | None = None,
    key: str | None = None,
    digest: str = "d1",
    caller: str | None = None,
) -> StoredFeedback:
    return repository.add(
        feedback or Feedback(is_correct=True, query="두통", prediction="편두통"),
        corrected_condition_id=condition_id,
        idempotency_key=key,
        request_digest=digest,
        caller=caller,
    )
