"""Evidence in, calibrated prediction out: the only thing that services know of the fusion network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from app.domain import AnalysisStatus, Candidate, Evidence, FloatArray, Prediction, Source
from app.errors import ArtifactError
from app.fusion.afnet import triage_probabilities
from app.fusion.artifact import EncoderIdentity, FusionArtifact, load_artifact
from app.fusion.calibration import Modality, conformal_set_size, modality_of, softmax
from app.fusion.risk import assess
from app.fusion.tokens import EvidenceCodec, EvidenceToken, collate

MIN_DIFFERENTIAL = 5
"""A clinician is shown at least this many candidates, also where the conformal set is smaller."""
MAX_DIFFERENTIAL = 10


@dataclass(frozen=True, slots=True)
class _Scores:
    probabilities: FloatArray
    triage: FloatArray


class FusionPredictor:
    """Runs AFNet on one case: differential, risk, triage, attribution, abstention. One thread at a time."""

    def __init__(self, artifact: FusionArtifact) -> None:
        self._artifact = artifact
        self._codec = EvidenceCodec(artifact.config.finding_ids)
        self._severities = np.asarray(artifact.config.severities, np.float32)
        self._widths = artifact.network.config.source_widths

    @classmethod
    def load(cls, folder: Path, encoders: Mapping[str, EncoderIdentity]) -> Self:
        """Load a fusion folder. ArtifactError where it is damaged or was trained with other encoders than these."""
        artifact = load_artifact(folder)
        for name, identity in artifact.config.encoders.items():
            if encoders.get(name) != identity:
                raise ArtifactError("fusion_encoder_mismatch", folder=str(folder), encoder=name)
        return cls(artifact)

    @property
    def version(self) -> str:
        return self._artifact.version

    @property
    def conditions(self) -> tuple[str, ...]:
        return self._artifact.config.conditions

    @property
    def sequence_layout(self) -> str:
        return self._artifact.config.sequence_layout

    def predict(self, evidence: Evidence) -> Prediction:
        """ValueError when there is no evidence token at all: callers check that a case is not empty."""
        tokens = self._codec.tokens(evidence)
        if not tokens:
            raise ValueError("a case without evidence")
        sources = self._left_out(tokens)
        used, without = self._without_findings(evidence)
        scores = self._score([tokens, *sources, *without])
        full, by_source, by_finding = scores[0], scores[1 : len(sources) + 1], scores[len(sources) + 1 :]
        order = np.argsort(-full.probabilities, kind="stable")
        calibration = self._artifact.calibration
        modality = modality_of([token.source for token in tokens])
        ranked = full.probabilities[order]
        set_size = conformal_set_size(ranked, calibration.conformal_mass[modality])
        shown = min(max(set_size, MIN_DIFFERENTIAL), MAX_DIFFERENTIAL, len(order))
        warnings = self._scope_warnings(tokens, modality, float(ranked[0]))
        status: AnalysisStatus = "insufficient_evidence" if warnings else "ok"
        return Prediction(
            status=status,
            differential=tuple(
                Candidate(self.conditions[index], float(full.probabilities[index])) for index in order[:shown]
            ),
            coverage=calibration.coverage,
            set_size=min(set_size, shown),
            risk=assess(
                full.probabilities,
                self._severities,
                full.triage,
                calibration.triage_cuts,
                (*evidence.red_flags, *evidence.scores),
            ),
            attribution=self._attribution(tokens, full, by_source, int(order[0])),
            finding_effects={
                finding: _log_odds(full, int(order[0])) - _log_odds(score, int(order[0]))
                for finding, score in zip(used, by_finding, strict=True)
            },
            warnings=warnings,
        )

    def log_odds(self, variants: Sequence[Evidence], condition_id: str) -> list[float]:
        """The condition's calibrated log odds in each of several variants of one case; ValueError as in `predict`."""
        number = self.conditions.index(condition_id)
        return [_log_odds(score, number) for score in self._score([self._codec.tokens(one) for one in variants])]

    def _score(self, variants: list[list[EvidenceToken]]) -> list[_Scores]:
        """One batched forward pass over several token lists of the same case; an empty list scores as uniform."""
        filled = [tokens for tokens in variants if tokens]
        with torch.inference_mode():
            output = self._artifact.network(collate(filled, self._widths))
            logits = output.condition_logits.numpy()
            triage = triage_probabilities(output.triage_logits).numpy()
        scored = iter(
            _Scores(softmax(row, self._temperature(tokens)), levels)
            for tokens, row, levels in zip(filled, logits, triage, strict=True)
        )
        count = len(self.conditions)
        uniform = _Scores(np.full(count, 1.0 / count, np.float32), np.full(5, 0.2, np.float32))
        return [next(scored) if tokens else uniform for tokens in variants]

    def _temperature(self, tokens: list[EvidenceToken]) -> float:
        return self._artifact.calibration.temperature[modality_of([token.source for token in tokens])]

    @staticmethod
    def _left_out(tokens: list[EvidenceToken]) -> list[list[EvidenceToken]]:
        """The case without each of its sources in turn, in the order of `_sources`."""
        return [[token for token in tokens if token.source != source] for source in _sources(tokens)]

    def _without_findings(self, evidence: Evidence) -> tuple[list[str], list[list[EvidenceToken]]]:
        """Ids of the findings that the network sees, and the case without each of them in turn."""
        used = [finding for finding in evidence.findings if self._codec.findings_vector((finding,)).any()]
        return [finding.finding_id for finding in used], [
            self._codec.tokens(replace(evidence, findings=tuple(f for f in evidence.findings if f is not finding)))
            for finding in used
        ]

    @staticmethod
    def _attribution(
        tokens: list[EvidenceToken], complete: _Scores, without: list[_Scores], top: int
    ) -> dict[str, float]:
        """Share of each source: how much log probability the top condition loses without it, over all such losses."""
        sources = _sources(tokens)
        full = np.log(max(float(complete.probabilities[top]), 1e-9))
        losses = [max(full - np.log(max(float(score.probabilities[top]), 1e-9)), 0.0) for score in without]
        total = sum(losses)
        if total <= 0.0:  # no single source carries the answer: they agree, so they share it
            return {source: 1.0 / len(sources) for source in sources}
        return {source: float(loss / total) for source, loss in zip(sources, losses, strict=True)}

    def _scope_warnings(self, tokens: list[EvidenceToken], modality: Modality, top: float) -> tuple[str, ...]:
        """Codes for why this case is outside of what the network was trained on; empty where it is inside."""
        calibration = self._artifact.calibration
        far: dict[str, bool] = {}
        for token in tokens:
            limit = calibration.distance_limits.get(token.source)
            region = self._artifact.regions.get(token.source)
            if limit is not None and region is not None:
                far[token.source] = far.get(token.source, True) and region.distance(token.vector) > limit
        warnings = []
        read = any(token.source == Source.FINDINGS.value for token in tokens)
        unread_text = modality == "text" and not read and top < calibration.min_probability_unread
        if unread_text or (far and all(far.values()) and not read):
            warnings.append("out_of_scope")
        if top < calibration.min_probability[modality]:
            warnings.append("low_certainty")
        return tuple(warnings)


def _log_odds(scores: _Scores, condition: int) -> float:
    probability = min(max(float(scores.probabilities[condition]), 1e-9), 1.0 - 1e-6)
    return float(np.log(probability) - np.log1p(-probability))


def _sources(tokens: list[EvidenceToken]) -> list[str]:
    return list(dict.fromkeys(token.source for token in tokens))
