"""Frozen domain types: what a case, its evidence and its analysis are.

Imports nothing of the project. Arrays are NumPy; shapes and units stand beside each field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Language = Literal["en", "ko"]
Sex = Literal["female", "male"]
Consciousness = Literal["alert", "verbal", "pain", "unresponsive"]
RiskLevel = Literal["low", "moderate", "high", "critical"]
AnalysisStatus = Literal["ok", "insufficient_evidence"]
FindingStatus = Literal["present", "absent", "uncertain", "past", "family"]
"""absent: denied; uncertain: supposed; past: over since long; family: a relative's, not the patient's."""
FindingQualifier = Literal["uncertain", "past", "family"]
FloatArray = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]

AUDIO_SAMPLE_RATE = 16_000
"""Every decoded waveform is mono at this rate (Hz): what the Whisper-style front end expects."""


class Source(StrEnum):
    """Where an evidence token comes from; AFNet learns one projection per source."""

    OMNI_TEXT = "omni/text"
    OMNI_IMAGE = "omni/image"
    OMNI_AUDIO = "omni/audio"
    OMNI_VIDEO = "omni/video"
    MEDICAL_TEXT = "medical/text"
    FINDINGS = "findings"
    VITALS = "vitals"


# --------------------------------------------------------------------------- what comes in
@dataclass(frozen=True, slots=True)
class Vitals:
    """Vital signs; None where not measured. mmHg, beats/min, breaths/min, degrees Celsius, percent."""

    sbp: float | None = None
    dbp: float | None = None
    heart_rate: float | None = None
    respiratory_rate: float | None = None
    temperature: float | None = None
    spo2: float | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """Age in years; pain on the 0-10 numeric rating scale; consciousness on AVPU."""

    age: float | None = None
    sex: Sex | None = None
    vitals: Vitals = field(default_factory=Vitals)
    consciousness: Consciousness | None = None
    pain: int | None = None


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """A case as received: media still encoded (file bytes, not base64)."""

    text: str | None = None
    images: tuple[bytes, ...] = ()
    audio: bytes | None = None
    video: bytes | None = None
    patient: Patient = field(default_factory=Patient)
    language: Language | None = None
    """None: detect from the text, English where there is none."""
    explain: bool = False
    """Whether saliency maps of the images are asked for: seconds of work."""


@dataclass(frozen=True, slots=True)
class Image:
    """RGB pixels (height, width, 3) uint8; `modality` is DICOM (0008,0060) where the file was DICOM."""

    pixels: UInt8Array
    modality: str | None = None


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono samples (n,) float32 in [-1, 1] at AUDIO_SAMPLE_RATE."""

    samples: FloatArray

    @property
    def seconds(self) -> float:
        return len(self.samples) / AUDIO_SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Video:
    """Frames (n, height, width, 3) uint8 sampled evenly at `fps` frames/s; the sound track, if there is one."""

    frames: UInt8Array
    fps: float
    sound: Waveform | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A decoded case: what the encoders and the knowledge base read."""

    language: Language
    text: str | None = None
    images: tuple[Image, ...] = ()
    audio: Waveform | None = None
    video: Video | None = None
    patient: Patient = field(default_factory=Patient)


# --------------------------------------------------------------------------- evidence
@dataclass(frozen=True, slots=True)
class Embedding:
    """One pooled embedding (width,) float32 of one modality segment."""

    source: Source
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class Finding:
    """A clinical finding read in the text: lexicon id, polarity, and the quoted span."""

    finding_id: str
    present: bool
    """The patient has it, as the lexicon means it: an uncertain one counts, and so does a past illness (asthma,
    stroke) where having had it is the finding. A past symptom and a relative's illness do not."""
    quote: str
    start: int
    end: int
    qualifier: FindingQualifier | None = None
    duration_days: float | None = None

    @property
    def status(self) -> FindingStatus:
        return self.qualifier or ("present" if self.present else "absent")


@dataclass(frozen=True, slots=True)
class RedFlag:
    """A dangerous sign: `floor` is the lowest risk level that an answer may then state, `triage` its lowest urgency."""

    flag_id: str
    floor: RiskLevel
    triage: int
    name: str


@dataclass(frozen=True, slots=True)
class ClinicalScore:
    """A published score of the case. `floor` and `triage` limit how reassuring an answer may be, as a red flag's do."""

    name: str
    value: int
    level: str
    """The score's own word for its band, a stable code."""
    complete: bool
    """False where a parameter was not known and counts as normal: the value is a lower bound."""
    floor: RiskLevel
    triage: int
    detail: str
    """A sentence in the answer's language."""
    source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that AFNet and the risk rule look at for one case."""

    embeddings: tuple[Embedding, ...]
    findings: tuple[Finding, ...] = ()
    red_flags: tuple[RedFlag, ...] = ()
    patient: Patient = field(default_factory=Patient)
    scores: tuple[ClinicalScore, ...] = ()


# --------------------------------------------------------------------------- what goes out
@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a differential; probability is calibrated."""

    condition_id: str
    probability: float


@dataclass(frozen=True, slots=True)
class Risk:
    """score and confidence in 0..1; triage 1 (most urgent) to 5, as in KTAS."""

    score: float
    level: RiskLevel
    confidence: float
    triage: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """AFNet's calibrated answer, before the knowledge base gives it names."""

    status: AnalysisStatus
    differential: tuple[Candidate, ...]
    """Most probable first, never empty. Its first `set_size` entries are the conformal set at `coverage`."""
    coverage: float
    set_size: int
    risk: Risk
    attribution: dict[str, float]
    """Source -> share of the top condition's support, sums to 1."""
    finding_effects: dict[str, float] = field(default_factory=dict)
    """Finding id -> by how much the top condition's log odds fall when the finding is left out: above 0 it speaks for
    the condition, below against. Findings that the network does not see are not there."""
    warnings: tuple[str, ...] = ()
    """Stable codes; api/ words them in the caller's language."""


@dataclass(frozen=True, slots=True)
class NamedCandidate:
    condition_id: str
    icd10: str
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class NamedFinding:
    name: str
    present: bool
    quote: str
    status: FindingStatus
    duration_days: float | None = None
    effect: float | None = None
    """See `Prediction.finding_effects`."""


@dataclass(frozen=True, slots=True)
class Saliency:
    """Where in an image the top condition's support lies, by occlusion."""

    image: int
    """Which of the case's images, from 0."""
    condition_id: str
    effects: tuple[tuple[float, ...], ...]
    """Rows from the top: by how much the condition's log odds fall when that part of the image is covered."""
    png: bytes
    """The image in grey, red where `effects` are above 0, blue where below. Never stored."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole answer to one case, in one language."""

    analysis_id: str
    status: AnalysisStatus
    language: Language
    diagnosis: str
    risk: Risk
    recommendations: tuple[str, ...]
    differential: tuple[NamedCandidate, ...]
    findings: tuple[NamedFinding, ...]
    red_flags: tuple[str, ...]
    categories: tuple[str, ...]
    """Medical specialties of the differential, most probable first."""
    modalities: tuple[str, ...]
    """Of text, image, audio, video, vitals: what the caller gave."""
    attribution: dict[str, float]
    coverage: float
    set_size: int
    """How many entries of the differential form the conformal set at `coverage`."""
    profile: str
    models: dict[str, str]
    timings_ms: dict[str, float]
    warnings: tuple[str, ...]
    created_at: datetime
    scores: tuple[ClinicalScore, ...] = ()
    saliency: tuple[Saliency, ...] = ()


# --------------------------------------------------------------------------- feedback
@dataclass(frozen=True, slots=True)
class Feedback:
    """A user's verdict on an analysis, or on a query and prediction they name themselves."""

    is_correct: bool
    analysis_id: str | None = None
    query: str | None = None
    prediction: str | None = None
    comments: str | None = None
    corrected_diagnosis: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    feedback_id: str
    created_at: datetime
    corrected_condition_id: str | None
    """The knowledge base's id for `corrected_diagnosis`; None where unknown or not given."""
    replayed: bool = False
    """True when an Idempotency-Key brought back an earlier row."""
