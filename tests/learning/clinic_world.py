"""A database with analyses and verdicts on the embedded pair's own evidence, and settings for the runner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from app.domain import Embedding, Evidence, Feedback, Finding, NamedCandidate, Source
from app.fusion.artifact import FusionArtifact, load_artifact
from app.learning.cases import LearningSets, load_learning_sets
from app.served import encoder_versions, served_manifests
from app.settings import Settings
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.training.tokens import LabelledTokens
from tests.storage.samples import analysis

FUSION = Path("models/embedded/fusion")


def shipped() -> tuple[FusionArtifact, LearningSets]:
    parent = load_artifact(FUSION)
    return parent, load_learning_sets(Path("models/embedded/learning"), parent.config)


def evidence_of(case: LabelledTokens, finding_ids: Sequence[str]) -> Evidence:
    """What would have been stored; vital signs are left out."""
    embeddings, findings = [], []
    for token in case.tokens:
        if token.source == Source.FINDINGS.value:
            half = len(finding_ids)
            places = [int(place) for place in np.flatnonzero(token.vector)]
            findings = [Finding(finding_ids[place % half], place < half, "", 0, 0) for place in places]
        elif token.source != Source.VITALS.value:
            embeddings.append(Embedding(Source(token.source), token.vector))
    return Evidence(tuple(embeddings), tuple(findings))


def texts_by_condition(cases: Sequence[LabelledTokens]) -> dict[int, list[LabelledTokens]]:
    """Text cases with a known condition, by it."""
    found: dict[int, list[LabelledTokens]] = defaultdict(list)
    for case in cases:
        if case.condition >= 0 and any(token.source == Source.OMNI_TEXT.value for token in case.tokens):
            found[case.condition].append(case)
    return dict(found)


@dataclass
class ClinicWorld:
    """Give it verdicts, then run the learner on it."""

    database: Database
    settings: Settings
    parent: FusionArtifact
    given: list[str] = field(default_factory=list)

    def see(self, case: LabelledTokens, label: int, *, caller: str = "clinician 1") -> str:
        """An analysis that answered the case's own condition, and a verdict that it was `label`."""
        conditions = self.parent.config.conditions
        shown = conditions[case.condition]
        encoders = encoder_versions(served_manifests(self.settings))
        answered = replace(
            analysis(),
            differential=(NamedCandidate(shown, "R69", shown, 0.9),),
            models={**encoders, "fusion": self.parent.version, "knowledge": "k", "service": "s"},
        )
        evidence = evidence_of(case, self.parent.config.finding_ids)
        AnalysisRepository(self.database).add(answered, evidence, text=None)
        right = label == case.condition
        stored = FeedbackRepository(self.database).add(
            Feedback(
                is_correct=right,
                analysis_id=answered.analysis_id,
                corrected_diagnosis=None if right else conditions[label],
            ),
            corrected_condition_id=None if right else conditions[label],
            idempotency_key=None,
            request_digest="",
            caller=caller,
        )
        self.given.append(stored.feedback_id)
        return stored.feedback_id


def runner_environment(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: str) -> Settings:
    """Settings as a runner process would read them."""
    values = {
        "DATABASE_URL": f"sqlite:///{folder}/clinic.db",
        "VERSIONS_DIR": str(folder / "versions"),
        "API_KEYS": ",".join(f"clinician-{n}-has-a-key" for n in range(4)),
        "LOG_LEVEL": "WARNING",
        "LEARNING_MIN_FREE_MEMORY": "1MiB",
        **changes,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Settings.load()
