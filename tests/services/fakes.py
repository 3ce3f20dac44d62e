"""Small stand-ins for the parts below the services: they compute, wait and fail as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from app.adaptation import ActiveVersion
from app.domain import (
    Analysis,
    AnalysisStatus,
    Candidate,
    Case,
    ClinicalScore,
    Embedding,
    Evidence,
    Feedback,
    Finding,
    Language,
    Patient,
    Prediction,
    RedFlag,
    Risk,
    RiskLevel,
    Source,
    StoredFeedback,
)
from app.encoders.session import Cancellation
from app.errors import ConflictError, NotFoundError, StorageError
from app.knowledge.schema import Specialty
from app.media import MediaLimits
from app.services.decoding import CaseDecoder
from app.services.host import Components
from app.services.ports import MediaDecoder
from tests.services.learning_fakes import FakeLearning

MAX_FAKE_CHARS = 200
VERSIONS = {"service": "0", "omni": "o1", "medical": "m1", "knowledge": "k1"}


class Entry(NamedTuple):
    icd10: str
    specialty: Specialty
    en: str
    ko: str


CONDITIONS: dict[str, Entry] = {
    "acute_myocardial_infarction": Entry("I21.9", "cardiology", "Acute myocardial infarction", "급성 심근경색"),
    "pneumonia": Entry("J18.9", "pulmonology", "Pneumonia", "폐렴"),
    "common_cold": Entry("J00", "general", "Common cold", "감기"),
}
SPECIALTIES = {
    "cardiology": {"en": "Cardiology", "ko": "심장내과"},
    "pulmonology": {"en": "Pulmonology", "ko": "호흡기내과"},
    "general": {"en": "General medicine", "ko": "일반의"},
}
FINDINGS: dict[str, dict[str, str]] = {
    "chest_pain": {"en": "chest pain", "ko": "가슴 통증"},
    "cough": {"en": "cough", "ko": "기침"},
}


class FakeKnowledge:
    """Three conditions and two findings that are read by plain search."""

    version = "k1"
    conditions: Mapping[str, Entry] = CONDITIONS

    def extract_findings(self, text: str) -> tuple[Finding, ...]:
        found = [
            Finding(finding_id, True, wording, text.find(wording), text.find(wording) + len(wording))
            for finding_id, wordings in FINDINGS.items()
            for wording in wordings.values()
            if wording in text
        ]
        return tuple(found)

    def extract_patient(self, text: str) -> Patient:
        return Patient(age=61.0) if "61" in text else Patient()

    def red_flags(self, findings: tuple[Finding, ...], patient: Patient, language: Language) -> tuple[RedFlag, ...]:
        name = {"en": "Chest pain", "ko": "흉통"}[language]
        return tuple(RedFlag("chest_pain", "high", 2, name) for item in findings if item.finding_id == "chest_pain")

    def scores(self, findings: tuple[Finding, ...], patient: Patient, language: Language) -> tuple[ClinicalScore, ...]:
        """One where the systolic pressure is low."""
        if patient.vitals.sbp is None or patient.vitals.sbp >= 90:
            return ()
        return (ClinicalScore("NEWS2", 7, "high", True, "critical", 2, {"en": "High", "ko": "높음"}[language], "RCP"),)

    def match_condition(self, wording: str) -> str | None:
        names = {key: (key, entry.icd10, entry.en, entry.ko) for key, entry in CONDITIONS.items()}
        return next((key for key, known in names.items() if wording in known), None)

    def recommendations(self, condition_id: str, level: RiskLevel, language: Language) -> tuple[str, ...]:
        return (f"{condition_id}/{level}/{language}",)

    def name(self, condition_id: str, language: Language) -> str:
        return CONDITIONS[condition_id].ko if language == "ko" else CONDITIONS[condition_id].en

    def specialty_name(self, specialty: Specialty, language: Language) -> str:
        return SPECIALTIES[specialty][language]

    def finding_name(self, finding_id: str, language: Language) -> str:
        return FINDINGS[finding_id][language]


@dataclass
class FakeEncoder:
    """One embedding per segment, an image's with its mean brightness; `before` runs in the inference thread first and
    may wait or raise."""

    sources: tuple[Source, ...]
    before: Callable[[Case, Cancellation], None] = lambda _case, _cancellation: None
    calls: list[Case] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        self.calls.append(case)
        self.kept.append(keep)
        self.before(case, cancellation or Cancellation())
        one = np.ones(4, np.float32)
        vectors = {
            Source.OMNI_TEXT: [one] * (case.text is not None),
            Source.MEDICAL_TEXT: [one] * (case.text is not None),
            Source.OMNI_IMAGE: [one * image.pixels.mean() for image in case.images],
            Source.OMNI_AUDIO: [one] * (case.audio is not None),
            Source.OMNI_VIDEO: [one] * (case.video is not None),
        }
        return tuple(Embedding(source, vector) for source in self.sources for vector in vectors[source])

    def truncates(self, text: str) -> bool:
        return len(text) > MAX_FAKE_CHARS


@dataclass
class FakePredictor:
    """The same ranking for everyone; nothing medical is claimed."""

    status: AnalysisStatus = "ok"
    version: str = "f1"
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    sequence_layout: str = "independent"
    warnings: tuple[str, ...] = ("low_certainty",)
    """Where the status is not ok."""
    effects: Mapping[str, float] = field(default_factory=dict)
    seen: list[Evidence] = field(default_factory=list)

    def predict(self, evidence: Evidence) -> Prediction:
        self.seen.append(evidence)
        sources = list(dict.fromkeys(item.source.value for item in evidence.embeddings))
        return Prediction(
            status=self.status,
            differential=(
                Candidate("acute_myocardial_infarction", 0.6),
                Candidate("pneumonia", 0.25),
                Candidate("common_cold", 0.15),
            ),
            coverage=0.9,
            set_size=2,
            risk=Risk(score=0.8, level="critical", confidence=0.6, triage=1),
            attribution={source: 1 / len(sources) for source in sources},
            finding_effects=dict(self.effects),
            warnings=() if self.status == "ok" else self.warnings,
        )

    def log_odds(self, variants: Sequence[Evidence], condition_id: str) -> list[float]:
        """Brighter images speak for it."""
        return [
            sum(float(item.vector[0]) / 255 for item in one.embeddings if item.source is Source.OMNI_IMAGE)
            for one in variants
        ]


@dataclass
class FakeStorage:
    """Analyses and feedback in memory; `failing` makes every call a StorageError."""

    failing: bool = False
    before: Callable[[], None] = lambda: None
    rows: dict[str, tuple[Analysis, Evidence, str | None]] = field(default_factory=dict)
    verdicts: list[tuple[Feedback, str | None, str | None]] = field(default_factory=list)
    keys: dict[tuple[str | None, str], tuple[str, StoredFeedback]] = field(default_factory=dict)
    closed: bool = False

    def check(self) -> None:
        self.before()
        if self.failing:
            raise StorageError("storage_unavailable", reason="SQLITE_IOERR")

    ping = check

    def close(self) -> None:
        self.closed = True


class FakeAnalyses:
    def __init__(self, storage: FakeStorage) -> None:
        self._storage = storage
        self.ping = storage.check

    def add(self, analysis: Analysis, evidence: Evidence, *, text: str | None) -> None:
        self._storage.check()
        self._storage.rows[analysis.analysis_id] = (analysis, evidence, text)


class FakeFeedback:
    def __init__(self, storage: FakeStorage) -> None:
        self._storage = storage

    def add(
        self,
        feedback: Feedback,
        *,
        corrected_condition_id: str | None,
        idempotency_key: str | None,
        request_digest: str,
        caller: str | None,
    ) -> StoredFeedback:
        self._storage.check()
        if feedback.analysis_id is not None and feedback.analysis_id not in self._storage.rows:
            raise NotFoundError("analysis_not_found")
        if idempotency_key is not None and (caller, idempotency_key) in self._storage.keys:
            digest, earlier = self._storage.keys[caller, idempotency_key]
            if digest != request_digest:
                raise ConflictError("idempotency_key_reused")
            return StoredFeedback(earlier.feedback_id, earlier.created_at, earlier.corrected_condition_id, True)
        stored = StoredFeedback(f"fb_{len(self._storage.verdicts)}", datetime.now(UTC), corrected_condition_id)
        self._storage.verdicts.append((feedback, corrected_condition_id, caller))
        if idempotency_key is not None:
            self._storage.keys[caller, idempotency_key] = (request_digest, stored)
        return stored


@dataclass
class FakeSource:
    """Versions of the predictor, or what loading one raises; `activate` switches the pointer."""

    held: dict[str, FakePredictor | Exception] = field(default_factory=dict)
    unreadable: Exception | None = None
    """What reading the pointer raises."""
    version: str = "f1"
    sequence: int = 0
    loads: list[str] = field(default_factory=list)

    def activate(self, version: str) -> None:
        self.version, self.sequence = version, self.sequence + 1

    def stamp(self) -> int:
        return self.sequence

    def active(self) -> ActiveVersion:
        if self.unreadable is not None:
            raise self.unreadable
        return ActiveVersion(self.version, self.sequence)

    def load(self, version: str) -> FakePredictor:
        self.loads.append(version)
        found = self.held[version]
        if isinstance(found, Exception):
            raise found
        return found


class Gate:
    """Lets the test hold the inference thread and see that it got there. Stops waiting once cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _case: Case, cancellation: Cancellation) -> None:
        self.entered.set()
        while not self.open.wait(0.005):
            cancellation.check()


def components(
    *,
    before: Callable[[Case, Cancellation], None] = lambda _case, _cancellation: None,
    predictor: FakePredictor | None = None,
    storage: FakeStorage | None = None,
    learning: FakeLearning | None = None,
    media: MediaDecoder | None = None,
    source: FakeSource | None = None,
) -> Components:
    """Everything that a request needs, small and quick."""
    kept = storage or FakeStorage()
    return Components(
        knowledge=FakeKnowledge(),
        media=media or CaseDecoder(MediaLimits()),
        omni=FakeEncoder((Source.OMNI_TEXT, Source.OMNI_IMAGE, Source.OMNI_AUDIO, Source.OMNI_VIDEO), before),
        medical=FakeEncoder((Source.MEDICAL_TEXT,)),
        fusion=predictor or FakePredictor(),
        analyses=FakeAnalyses(kept),
        feedback=FakeFeedback(kept),
        learning=(learning or FakeLearning()).stores(),
        source=source or FakeSource(),
        versions=VERSIONS,
        close=kept.close,
    )
