"""A database with analyses and verdicts on the embedded pair's own evidence, and settings for the runner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.domain import Source
from app.evaluation.learning_load import Desk
from app.fusion.artifact import FusionArtifact, load_artifact
from app.learning.cases import LearningSets, load_learning_sets
from app.served import encoder_versions, served_manifests
from app.settings import Settings
from app.storage.database import Database
from app.training.tokens import LabelledTokens

FUSION = Path("models/embedded/fusion")


def shipped() -> tuple[FusionArtifact, LearningSets]:
    parent = load_artifact(FUSION)
    return parent, load_learning_sets(Path("models/embedded/learning"), parent.config)


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
        encoders = encoder_versions(served_manifests(self.settings))
        self.given.append(Desk(self.database, self.parent.config, encoders).see(case, label, caller=caller))
        return self.given[-1]


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
