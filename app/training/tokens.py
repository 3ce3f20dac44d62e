"""Samples -> labelled evidence tokens, through the very encoders and knowledge base that serve."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image as PillowImage
from tqdm import tqdm

from app.domain import (
    AUDIO_SAMPLE_RATE,
    Case,
    Embedding,
    Evidence,
    Finding,
    FloatArray,
    Image,
    Patient,
    Source,
    Video,
    Waveform,
)
from app.fusion.tokens import EvidenceCodec, EvidenceToken
from app.media.audio import decode_audio
from app.media.image import decode_image
from app.media.limits import MediaLimits
from app.services.pipeline import merge_patients
from app.training.samples import NOT_IN_CATALOGUE, SOMETHING_GRAVE, SOMETHING_MILD, Sample

UNKNOWN = -1
"""The condition is not known: a case for the triage head only."""
OUTSIDE = -2
"""The case is known to be none of the catalogue's conditions."""
MILD, GRAVE = -3, -4
"""Some condition of severity 1 or 2, or of severity 4 or 5."""
_UNNAMED = {None: UNKNOWN, NOT_IN_CATALOGUE: OUTSIDE, SOMETHING_MILD: MILD, SOMETHING_GRAVE: GRAVE}


class Encoding(Protocol):
    """The part of an encoder that training needs."""

    def encode(self, case: Case) -> Sequence[Embedding]: ...


@dataclass(frozen=True, slots=True)
class LabelledTokens:
    """Tokens of one case with its labels: `condition` indexes the label list, or is UNKNOWN, OUTSIDE, MILD or GRAVE.

    `triage` is 0 where unknown.
    """

    group: str
    tokens: tuple[EvidenceToken, ...]
    condition: int
    triage: int
    triage_weight: float
    language: str = "en"


@dataclass(frozen=True, slots=True)
class TokenMaker:
    """Everything between a sample and its tokens."""

    encoders: Sequence[Encoding]
    extract_findings: Callable[[str], tuple[Finding, ...]]
    extract_patient: Callable[[str], Patient]
    codec: EvidenceCodec
    condition_index: dict[str, int]

    def make(self, samples: Iterable[Sample], name: str, augment: random.Random | None = None) -> list[LabelledTokens]:
        """Encode every sample; media are changed slightly when `augment` is given."""
        return [self.one(sample, augment) for sample in tqdm(list(samples), desc=name, mininterval=2.0)]

    def one(self, sample: Sample, augment: random.Random | None = None) -> LabelledTokens:
        return self.label(sample, load_case(sample, augment))

    def label(self, sample: Sample, case: Case) -> LabelledTokens:
        embeddings = tuple(embedding for encoder in self.encoders for embedding in encoder.encode(case))
        findings: tuple[Finding, ...] = ()
        patient = sample.patient
        if case.text:
            findings = self.extract_findings(case.text)
            patient = merge_patients(patient, self.extract_patient(case.text))
        evidence = Evidence(embeddings=embeddings, findings=findings, patient=patient)
        return LabelledTokens(
            group=sample.group,
            tokens=tuple(self.codec.tokens(evidence)),
            condition=self._condition(sample.condition_id),
            triage=sample.triage or 0,
            triage_weight=sample.triage_weight,
            language=sample.language,
        )

    def _condition(self, condition_id: str | None) -> int:
        unnamed = _UNNAMED.get(condition_id)
        return self.condition_index[condition_id or ""] if unnamed is None else unnamed


def embedding_vectors(cases: Iterable[LabelledTokens]) -> dict[str, FloatArray]:
    """Every embedding of the cases, (n, width) float32 by source; findings and vitals are no embeddings."""
    vectors: dict[str, list[FloatArray]] = defaultdict(list)
    for case in cases:
        for token in case.tokens:
            if token.source not in {Source.FINDINGS.value, Source.VITALS.value}:
                vectors[token.source].append(token.vector)
    return {source: np.stack(rows) for source, rows in vectors.items()}


def load_case(sample: Sample, augment: random.Random | None = None) -> Case:
    """Decode a sample's media with the service's own decoders."""
    images: tuple[Image, ...] = ()
    audio = None
    if sample.image is not None:
        image = decode_image(sample.image.read_bytes(), MediaLimits())
        images = (augment_image(image, augment) if augment else image,)
    if sample.audio is not None:
        waveform = decode_audio(sample.audio.read_bytes(), MediaLimits())
        audio = augment_waveform(waveform, augment) if augment else waveform
    return Case(language=sample.language, text=sample.text, images=images, audio=audio, patient=sample.patient)


def augment_image(image: Image, rng: random.Random) -> Image:
    """Random crop of up to 8 % a side, up to 6 degrees of rotation, contrast and brightness within 15 %."""
    height, width, _ = image.pixels.shape
    picture = PillowImage.fromarray(image.pixels).rotate(rng.uniform(-6, 6), resample=PillowImage.Resampling.BILINEAR)
    left, right = (round(width * rng.uniform(0, 0.08)) for _ in range(2))
    top, bottom = (round(height * rng.uniform(0, 0.08)) for _ in range(2))
    picture = picture.crop((left, top, width - right, height - bottom))
    pixels = (np.asarray(picture, np.float32) - 128) * rng.uniform(0.85, 1.15) + 128 * rng.uniform(0.85, 1.15)
    return replace(image, pixels=pixels.clip(0, 255).astype(np.uint8))


def augment_waveform(waveform: Waveform, rng: random.Random) -> Waveform:
    """Random start within the first half second, gain of +-6 dB, noise 30 to 50 dB below full scale of the sound."""
    samples = waveform.samples[rng.randrange(AUDIO_SAMPLE_RATE // 2) :] * np.float32(10 ** rng.uniform(-0.3, 0.3))
    level = float(np.abs(samples).max()) * 10 ** rng.uniform(-2.5, -1.5)
    noise = np.random.default_rng(rng.randrange(2**32)).standard_normal(len(samples)).astype(np.float32)
    return Waveform(np.clip(samples + level * noise, -1.0, 1.0).astype(np.float32))


def still_video(image: Image, rng: random.Random, frames: int = 4, sound: Waveform | None = None) -> Video:
    """A hand-held film of a picture: the same image, slightly panned and zoomed from frame to frame, at 1 frame/s."""
    picture = PillowImage.fromarray(image.pixels)
    width, height = picture.size
    shots = []
    for _ in range(frames):
        margin_x, margin_y = width * rng.uniform(0, 0.05), height * rng.uniform(0, 0.05)
        box = (margin_x, margin_y, width - width * rng.uniform(0, 0.05), height - height * rng.uniform(0, 0.05))
        shots.append(np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR, box=box)))
    return Video(frames=np.stack(shots), fps=1.0, sound=sound)
