"""Domain types to rows and back."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from app.domain import (
    Analysis,
    ClinicalScore,
    Embedding,
    Evidence,
    Finding,
    FloatArray,
    Patient,
    RedFlag,
    Source,
    Vitals,
)
from app.storage.schema import AnalysisRow, EmbeddingRow

_FLOAT32 = np.dtype("<f4")


def analysis_row(analysis: Analysis, evidence: Evidence, text: str | None) -> AnalysisRow:
    """The row and its embeddings. Without `text` no quote is kept either, whatever the caller passed."""
    if text is None:
        analysis = replace(analysis, findings=tuple(replace(finding, quote="") for finding in analysis.findings))
    risk = analysis.risk
    return AnalysisRow(
        id=analysis.analysis_id,
        created_at=analysis.created_at,
        status=analysis.status,
        language=analysis.language,
        profile=analysis.profile,
        condition_id=analysis.differential[0].condition_id if analysis.status == "ok" else None,
        risk_score=risk.score,
        risk_level=risk.level,
        risk_confidence=risk.confidence,
        triage=risk.triage,
        modalities=list(analysis.modalities),
        models=dict(analysis.models),
        result=_result_document(analysis),
        evidence=evidence_document(evidence),
        text=text,
        embeddings=_embedding_rows(evidence.embeddings, analysis.models),
    )


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """All of the evidence but the embeddings, and but the words and places of the findings."""
    return {
        "findings": [
            {"id": finding.finding_id, "present": finding.present, "qualifier": finding.qualifier}
            for finding in evidence.findings
        ],
        "red_flags": [asdict(flag) for flag in evidence.red_flags],
        "patient": asdict(evidence.patient),
        "scores": [asdict(score) for score in evidence.scores],
    }


def evidence_of(row: AnalysisRow) -> Evidence:
    """The evidence as AFNet and the risk rule saw it; findings have no quote and no place."""
    document = row.evidence
    patient = dict(document["patient"])
    vitals = Vitals(**patient.pop("vitals"))
    return Evidence(
        embeddings=tuple(_embedding(item) for item in row.embeddings),
        findings=tuple(
            Finding(item["id"], item["present"], "", 0, 0, item.get("qualifier")) for item in document["findings"]
        ),
        red_flags=tuple(RedFlag(**item) for item in document["red_flags"]),
        patient=Patient(**patient, vitals=vitals),
        scores=tuple(ClinicalScore(**item) for item in document.get("scores", ())),  # none in rows of 0.1.0
    )


def _result_document(analysis: Analysis) -> dict[str, Any]:
    document = asdict(analysis)
    document["created_at"] = analysis.created_at.isoformat()
    return document


def _embedding_rows(embeddings: tuple[Embedding, ...], models: dict[str, str]) -> list[EmbeddingRow]:
    return [
        EmbeddingRow(
            ordinal=ordinal,
            source=embedding.source.value,
            encoder=models[_encoder_name(embedding.source)],
            width=len(embedding.vector),
            vector=_packed(embedding.vector),
        )
        for ordinal, embedding in enumerate(embeddings)
    ]


def _encoder_name(source: Source) -> str:
    """The part of `Analysis.models` that made it: `omni/image` came from `omni`."""
    return source.value.partition("/")[0]


def _packed(vector: FloatArray) -> bytes:
    return np.ascontiguousarray(vector, _FLOAT32).tobytes()


def _embedding(row: EmbeddingRow) -> Embedding:
    return Embedding(Source(row.source), np.frombuffer(row.vector, _FLOAT32).astype(np.float32))
