"""Wire types of the answers, and how they are made from domain types."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.api.messages.catalogue import notice_text, warning_text
from app.api.schemas import MAX_IMAGES, StorageHealth
from app.domain import Analysis, AnalysisStatus, FindingStatus, Language, NamedFinding, RiskLevel
from app.memory import MemoryUsage
from app.memory_plan import MemoryPlan, PartKind
from app.services.feedback import FeedbackReceipt
from app.services.host import LoadState

MIN_EFFECT = 0.25
"""Log odds: a factor of 1.3. What moves less is not named as a reason."""
MAX_EFFECTS = 5
DISCLAIMER: dict[Language, str] = {
    "en": "Decision support only, not a diagnosis. A clinician must judge every case. In an emergency call the "
    "emergency services.",
    "ko": "이 결과는 의사결정 지원용이며 진단이 아닙니다. 모든 사례는 의료진이 판단해야 합니다. "
    "응급 상황에서는 119에 연락하십시오.",
}


class AnswerModel(BaseModel):
    """Frozen, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RiskAnswer(AnswerModel):
    score: float = Field(ge=0, le=1)
    level: RiskLevel
    confidence: float = Field(ge=0, le=1, description="Calibrated probability of the first condition")
    triage: int = Field(ge=1, le=5, description="KTAS level, 1 is the most urgent")


class CandidateAnswer(AnswerModel):
    condition_id: str
    icd10: str
    name: str
    probability: float = Field(ge=0, le=1)


class FindingAnswer(AnswerModel):
    name: str
    present: bool = Field(description="The patient has it or may have it; a past illness that still counts is present")
    status: FindingStatus = Field(description="absent: denied; past: over since long; family: a relative's")
    quote: str = Field(description="The words that say so")
    duration_days: float | None = Field(None, description="How long it has lasted, where the text says so")
    effect: float | None = Field(
        None,
        description="By how much the first condition's log odds fall without it; null where the model sees none of it",
    )


class WarningAnswer(AnswerModel):
    code: str
    detail: str


class EffectAnswer(AnswerModel):
    """A finding that moved the first condition."""

    name: str
    status: FindingStatus
    effect: float = Field(description="By how much the first condition's log odds fall without it")


class SaliencyAnswer(AnswerModel):
    """Where in an image the support for a condition lies, by covering one part after the other."""

    image: int = Field(ge=0, le=MAX_IMAGES - 1, description="Which of the case's images, from 0")
    condition_id: str = Field(description="The first condition of the differential")
    grid: list[list[float]] = Field(
        description="Rows from the top: by how much the condition's log odds fall when this part is covered"
    )
    png: str = Field(description="base64: the image in grey, red where the grid is above 0, blue where below")


class ScoreAnswer(AnswerModel):
    """A published score of the case."""

    name: str
    value: int
    level: str = Field(description="The score's own band, a stable code")
    complete: bool = Field(description="false: a parameter was not known, so the value is a lower bound")
    detail: str = Field(description="What it means, in a sentence")
    source: str


class Metadata(AnswerModel):
    categories: list[str] = Field(description="Medical specialties, the likeliest first")
    modalities: list[str] = Field(description="Of text, image, audio, video, vitals: what was given")
    attribution: dict[str, float] = Field(description="Source -> its share of the support for the first condition")
    supporting: list[EffectAnswer] = Field(
        description="Findings that speak for the first condition, the strongest first"
    )
    opposing: list[EffectAnswer] = Field(description="Findings that speak against it, the strongest first")
    profile: str
    models: dict[str, str] = Field(description="What answered: part -> version")
    language: Language
    timings_ms: dict[str, float]
    warnings: list[WarningAnswer]
    red_flags: list[str] = Field(description="Dangerous signs that set a floor under the risk")
    scores: list[ScoreAnswer] = Field(description="Scores that the vital signs allow; they set a floor as well")
    coverage: float = Field(description="How often the first `set_size` conditions hold the right one")
    set_size: int


class AnalyzeAnswer(AnswerModel):
    """The answer to one case."""

    analysis_id: str
    status: AnalysisStatus
    diagnosis: str = Field(description="In the caller's language; says so where the evidence carries none")
    risk: RiskAnswer
    recommendations: list[str]
    differential: list[CandidateAnswer] = Field(description="Most probable first")
    findings: list[FindingAnswer]
    saliency: list[SaliencyAnswer] = Field(description="One map per image, where `explain` asks for them")
    metadata: Metadata
    disclaimer: str

    @classmethod
    def of(cls, analysis: Analysis) -> Self:
        risk = analysis.risk
        return cls(
            analysis_id=analysis.analysis_id,
            status=analysis.status,
            diagnosis=analysis.diagnosis,
            risk=RiskAnswer(score=risk.score, level=risk.level, confidence=risk.confidence, triage=risk.triage),
            recommendations=list(analysis.recommendations),
            differential=[
                CandidateAnswer(
                    condition_id=item.condition_id, icd10=item.icd10, name=item.name, probability=item.probability
                )
                for item in analysis.differential
            ],
            findings=[
                FindingAnswer(
                    name=item.name,
                    present=item.present,
                    status=item.status,
                    quote=item.quote,
                    duration_days=item.duration_days,
                    effect=_effect(item),
                )
                for item in analysis.findings
            ],
            saliency=[
                SaliencyAnswer(
                    image=item.image,
                    condition_id=item.condition_id,
                    grid=[list(row) for row in item.effects],
                    png=base64.b64encode(item.png).decode("ascii"),
                )
                for item in analysis.saliency
            ],
            metadata=_metadata(analysis),
            disclaimer=DISCLAIMER[analysis.language],
        )


def _metadata(analysis: Analysis) -> Metadata:
    return Metadata(
        categories=list(analysis.categories),
        modalities=list(analysis.modalities),
        attribution=analysis.attribution,
        supporting=_strongest(analysis, lambda effect: effect),
        opposing=_strongest(analysis, lambda effect: -effect),
        profile=analysis.profile,
        models=analysis.models,
        language=analysis.language,
        timings_ms=analysis.timings_ms,
        warnings=[WarningAnswer(code=code, detail=warning_text(code, analysis.language)) for code in analysis.warnings],
        red_flags=list(analysis.red_flags),
        scores=[
            ScoreAnswer(
                name=score.name,
                value=score.value,
                level=score.level,
                complete=score.complete,
                detail=score.detail,
                source=score.source,
            )
            for score in analysis.scores
        ],
        coverage=analysis.coverage,
        set_size=analysis.set_size,
    )


def _effect(finding: NamedFinding) -> float | None:
    return None if finding.effect is None else round(finding.effect, 3) + 0.0  # never -0.0


def _strongest(analysis: Analysis, strength: Callable[[float], float]) -> list[EffectAnswer]:
    """Findings whose effect is worth naming, the strongest first; in the order of the text where they are equal."""
    named = [
        EffectAnswer(name=item.name, status=item.status, effect=effect)
        for item in analysis.findings
        if (effect := _effect(item)) is not None and strength(effect) >= MIN_EFFECT
    ]
    return sorted(named, key=lambda item: -strength(item.effect))[:MAX_EFFECTS]


class FeedbackAnswer(AnswerModel):
    feedback_id: str
    message: str


def feedback_message(receipt: FeedbackReceipt, language: Language) -> str:
    """What became of the feedback, in sentences."""
    sentences = ["feedback_replayed" if receipt.stored.replayed else "feedback_stored"]
    if receipt.correction_unknown:
        sentences.append("correction_unknown")
    if receipt.text_dropped:
        sentences.append("query_not_kept")
    return " ".join(notice_text(code, language) for code in sentences)


class RootAnswer(AnswerModel):
    name: str
    version: str
    docs: str
    health: str


class AliveAnswer(AnswerModel):
    status: Literal["alive"]


class MemoryPartAnswer(AnswerModel):
    name: str
    bytes: int
    kind: PartKind = Field(description="working: anonymous, while the largest case is answered")


class MemoryUsageAnswer(AnswerModel):
    """Resident bytes."""

    anonymous: int
    file_backed: int


class MemoryAnswer(AnswerModel):
    """What the process was planned to take, and takes; bytes."""

    limit: int
    limited_by: str = Field(description="MAX_MEMORY, container or machine: the strictest")
    needed: int = Field(description="What has to fit: all that is loaded, or all that is on the heap when busiest")
    total: int = Field(description="All parts together")
    parts: list[MemoryPartAnswer]
    cut_layers: dict[str, int] = Field(description="Encoder -> layers that run")
    measured: MemoryUsageAnswer | None = Field(description="Once ready")

    @classmethod
    def of(cls, plan: MemoryPlan, usage: MemoryUsage | None) -> Self:
        measured = usage and MemoryUsageAnswer(anonymous=usage.anonymous, file_backed=usage.file_backed)
        return cls(
            limit=plan.limit.bytes,
            limited_by=plan.limit.name,
            needed=plan.needed,
            total=plan.total,
            parts=[MemoryPartAnswer(name=part.name, bytes=part.bytes, kind=part.kind) for part in plan.parts],
            cut_layers={"omni": plan.cut_layers.omni, "medical": plan.cut_layers.medical},
            measured=measured,
        )


class LoadAnswer(AnswerModel):
    """How far the models are."""

    status: LoadState
    step: str | None = Field(description="Under way, or where it failed")
    done: int
    total: int
    seconds: float
    reason: str | None = Field(description="The error code of a failed load")
    share: float | None = Field(None, ge=0, le=1, description="How much of a long step is done")
    memory: MemoryAnswer | None = Field(None, description="The plan made at start")


class HealthAnswer(AnswerModel):
    status: LoadState
    version: str
    load: LoadAnswer
    storage: StorageHealth
    queue_depth: int
