"""Gives a prediction its names, codes and advice in the caller's language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain import Analysis, Case, Language, NamedCandidate, NamedFinding, Patient, Prediction, Vitals
from app.knowledge.schema import Specialty
from app.services.host import Components
from app.services.missing import what_would_help
from app.services.pipeline import Inference
from app.services.ports import Knowledge
from app.services.wording import GENERAL_ADVICE, INSUFFICIENT_EVIDENCE


@dataclass(frozen=True, slots=True)
class Identity:
    """What an answer says of itself."""

    analysis_id: str
    profile: str
    created_at: datetime


def name_analysis(
    case: Case, given: Patient, inference: Inference, components: Components, identity: Identity
) -> Analysis:
    """The whole answer but its timings. `given`: the patient as the caller stated it."""
    knowledge, prediction, language = components.knowledge, inference.prediction, case.language
    return Analysis(
        analysis_id=identity.analysis_id,
        status=prediction.status,
        language=language,
        diagnosis=_diagnosis(prediction, knowledge, language),
        risk=prediction.risk,
        recommendations=_recommendations(case, inference, knowledge),
        differential=_differential(prediction, knowledge, language),
        findings=tuple(
            NamedFinding(
                knowledge.finding_name(finding.finding_id, language),
                finding.present,
                finding.quote,
                finding.status,
                finding.duration_days,
                prediction.finding_effects.get(finding.finding_id),
            )
            for finding in inference.evidence.findings
        ),
        red_flags=tuple(flag.name for flag in inference.evidence.red_flags),
        categories=_categories(prediction, knowledge, language),
        modalities=modalities(case, given),
        attribution=dict(prediction.attribution),
        coverage=prediction.coverage,
        set_size=prediction.set_size,
        profile=identity.profile,
        models={**components.versions, "fusion": inference.predictor_version},
        timings_ms={},
        warnings=prediction.warnings + inference.warnings,
        created_at=identity.created_at,
        scores=inference.evidence.scores,
        saliency=inference.saliency,
    )


def modalities(case: Case, given: Patient) -> tuple[str, ...]:
    """Of text, image, audio, video, vitals: what the caller gave, in this order."""
    present = {
        "text": case.text is not None,
        "image": bool(case.images),
        "audio": case.audio is not None,
        "video": case.video is not None,
        "vitals": given.vitals != Vitals(),
    }
    return tuple(name for name, given_too in present.items() if given_too)


def _diagnosis(prediction: Prediction, knowledge: Knowledge, language: Language) -> str:
    if prediction.status == "insufficient_evidence":
        return INSUFFICIENT_EVIDENCE[language]
    return knowledge.name(prediction.differential[0].condition_id, language)


def _recommendations(case: Case, inference: Inference, knowledge: Knowledge) -> tuple[str, ...]:
    prediction, language = inference.prediction, case.language
    level = prediction.risk.level
    if prediction.status == "insufficient_evidence":
        return (GENERAL_ADVICE[level][language], *what_would_help(case, inference.evidence, prediction, knowledge))
    return knowledge.recommendations(prediction.differential[0].condition_id, level, language)


def _differential(prediction: Prediction, knowledge: Knowledge, language: Language) -> tuple[NamedCandidate, ...]:
    return tuple(
        NamedCandidate(
            condition_id=candidate.condition_id,
            icd10=knowledge.conditions[candidate.condition_id].icd10,
            name=knowledge.name(candidate.condition_id, language),
            probability=candidate.probability,
        )
        for candidate in prediction.differential
    )


def _categories(prediction: Prediction, knowledge: Knowledge, language: Language) -> tuple[str, ...]:
    """Specialties by their share of the differential, the largest first."""
    shares: dict[Specialty, float] = {}
    for candidate in prediction.differential:
        specialty = knowledge.conditions[candidate.condition_id].specialty
        shares[specialty] = shares.get(specialty, 0.0) + candidate.probability
    ordered = sorted(shares, key=lambda specialty: -shares[specialty])
    return tuple(knowledge.specialty_name(specialty, language) for specialty in ordered)
