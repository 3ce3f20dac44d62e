"""Evidence -> token batches: findings as a signed multi-hot vector, vitals as numbers with their presence flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from app.domain import Evidence, Finding, FloatArray, Patient, Source
from app.fusion.afnet import TokenBatch

_CONSCIOUSNESS = ("alert", "verbal", "pain", "unresponsive")
_VITALS: tuple[tuple[str, float, float], ...] = (
    # name, centre, spread: resting adult values, only to bring the numbers near zero
    ("sbp", 125.0, 25.0),
    ("dbp", 78.0, 15.0),
    ("heart_rate", 82.0, 20.0),
    ("respiratory_rate", 18.0, 4.0),
    ("temperature", 36.7, 0.8),
    ("spo2", 97.0, 3.0),
)
VITALS_WIDTH = 3 * len(_VITALS) + 2 + 2 + len(_CONSCIOUSNESS) + 2


@dataclass(frozen=True, slots=True)
class EvidenceToken:
    """One token: its source and raw vector (width of the source,) float32."""

    source: str
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class EvidenceCodec:
    """Turns evidence into tokens; `finding_ids` fixes the order of the findings vector."""

    finding_ids: tuple[str, ...]

    @property
    def findings_width(self) -> int:
        return 2 * len(self.finding_ids)

    def tokens(self, evidence: Evidence) -> list[EvidenceToken]:
        """Every token of a case, in a fixed order; a source without content gives none."""
        result = [EvidenceToken(item.source.value, item.vector) for item in evidence.embeddings]
        findings = self.findings_vector(evidence.findings)
        if findings.any():
            result.append(EvidenceToken(Source.FINDINGS.value, findings))
        vitals = vitals_vector(evidence.patient)
        if vitals.any():
            result.append(EvidenceToken(Source.VITALS.value, vitals))
        return result

    def findings_vector(self, findings: Sequence[Finding]) -> FloatArray:
        """(2 * n,) float32: first half present, second half denied.

        Left out: unknown ids, and what is neither (a relative's, a symptom long over).
        """
        index = {finding_id: position for position, finding_id in enumerate(self.finding_ids)}
        vector = np.zeros(self.findings_width, np.float32)
        for finding in findings:
            position = index.get(finding.finding_id)
            if position is not None and finding.present:
                vector[position] = 1.0
            elif position is not None and finding.status == "absent":
                vector[position + len(self.finding_ids)] = 1.0
        return vector


def vitals_vector(patient: Patient) -> FloatArray:
    """(VITALS_WIDTH,) float32: (scaled, squared, measured) per vital sign; then age, sex, AVPU, pain."""
    parts: list[float] = []
    for name, centre, spread in _VITALS:
        value = getattr(patient.vitals, name)
        scaled = 0.0 if value is None else float(np.clip((value - centre) / spread, -5.0, 5.0))
        parts += [scaled, scaled * scaled / 5.0, float(value is not None)]
    parts += [0.0, 0.0] if patient.age is None else [(patient.age - 45.0) / 25.0, 1.0]
    parts += [float(patient.sex == "female"), float(patient.sex == "male")]
    parts += [float(patient.consciousness == level) for level in _CONSCIOUSNESS]
    parts += [0.0, 0.0] if patient.pain is None else [patient.pain / 5.0, 1.0]
    return np.asarray(parts, np.float32)


def collate(cases: Sequence[Sequence[EvidenceToken]], widths: Mapping[str, int]) -> TokenBatch:
    """Token lists of B cases -> one batch. ValueError on a width or source that the network was not built for."""
    longest = max((len(tokens) for tokens in cases), default=0)
    mask = torch.zeros(len(cases), max(longest, 1), dtype=torch.bool)
    grouped: dict[str, list[tuple[int, int, FloatArray]]] = {}
    for row, tokens in enumerate(cases):
        for column, token in enumerate(tokens):
            if widths.get(token.source) != len(token.vector):
                raise ValueError(
                    f"source {token.source}: width {len(token.vector)}, built for {widths.get(token.source)}"
                )
            grouped.setdefault(token.source, []).append((row, column, token.vector))
            mask[row, column] = True
    return TokenBatch(
        values={name: torch.from_numpy(np.stack([vector for _, _, vector in rows])) for name, rows in grouped.items()},
        case_index={name: torch.tensor([row for row, _, _ in rows]) for name, rows in grouped.items()},
        slot={name: torch.tensor([column for _, column, _ in rows]) for name, rows in grouped.items()},
        mask=mask,
    )
