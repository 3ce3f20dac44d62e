"""Heart-sound clips and augmented log-mel versions of them; sounds that are none, as class `other`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.domain import AUDIO_SAMPLE_RATE, FloatArray
from app.encoders.audio_input import log_mel
from app.encoders.manifest import AudioSpec
from app.media.audio import decode_audio
from app.media.limits import MediaLimits

HEART_CLASSES = (
    "normal",
    "aortic_stenosis",
    "mitral_regurgitation",
    "mitral_stenosis",
    "mitral_valve_prolapse",
    "other",
)
FOREIGN_SHARE = 0.08
LabelArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Waveforms at 16 kHz, and the index of each one's class."""

    waves: tuple[FloatArray, ...]
    labels: LabelArray


@dataclass(frozen=True, slots=True)
class MelSet:
    """mels[i] (128, frames_i) and labels (n,)."""

    mels: tuple[FloatArray, ...]
    labels: LabelArray


def load_clips(folder: Path, split: str) -> ClipSet:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    limits = MediaLimits()
    waves = tuple(decode_audio((folder / split / row["file"]).read_bytes(), limits).samples for row in rows)
    return ClipSet(waves, np.array([HEART_CLASSES.index(row["label"]) for row in rows]))


def plain_mels(clips: ClipSet, spec: AudioSpec) -> MelSet:
    return MelSet(tuple(log_mel(wave, spec) for wave in clips.waves), clips.labels)


def augmented_mels(clips: ClipSet, spec: AudioSpec, per_clip: int, seed: int) -> MelSet:
    """`per_clip` versions of every clip, the first one plain, and some sounds that are none."""
    rng = np.random.default_rng(seed)
    waves = [wave if repeat == 0 else _disturbed(wave, rng) for repeat in range(per_clip) for wave in clips.waves]
    foreign = int(len(waves) * FOREIGN_SHARE)
    waves += [_foreign_sound(rng) for _ in range(foreign)]
    labels = np.r_[np.tile(clips.labels, per_clip), np.full(foreign, HEART_CLASSES.index("other"))]
    return MelSet(tuple(log_mel(wave, spec) for wave in waves), labels)


def _disturbed(wave: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Another tempo, another stethoscope (a tilt of the spectrum), another gain, and noise."""
    positions = np.arange(0, len(wave) - 1, rng.uniform(0.93, 1.07))
    warped = np.interp(positions, np.arange(len(wave)), wave)
    spectrum = np.fft.rfft(warped)
    hertz = np.fft.rfftfreq(len(warped), 1 / AUDIO_SAMPLE_RATE)
    tilt = rng.uniform(-3, 3) * np.log2(np.maximum(hertz, 30) / 200)  # dB per octave around 200 Hz
    tilt += rng.uniform(-3, 3) * np.cos(np.log2(np.maximum(hertz, 30)) * rng.uniform(0.5, 2) + rng.uniform(0, 6))
    tilted = np.fft.irfft(spectrum * 10 ** (tilt / 20), len(warped))
    if rng.random() < 0.6:
        level = np.sqrt(np.mean(tilted**2)) * 10 ** (-rng.uniform(12, 45) / 20)
        tilted = tilted + level * _noise(len(tilted), rng)
    return _at_peak(tilted, rng)


def _noise(length: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of unit power whose spectrum falls by 0 to 6 dB per octave."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 1)
    sound = np.fft.irfft(spectrum, length)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)))


def _at_peak(wave: npt.NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
    peak = 10 ** (-rng.uniform(0, 24) / 20)
    return np.asarray(wave * (peak / max(float(np.abs(wave).max()), 1e-9)), np.float32)


def _foreign_sound(rng: np.random.Generator) -> FloatArray:
    """Noise, noise in syllables, a hum, a sweep, or silence; two to four seconds."""
    length = int(rng.uniform(2, 4) * AUDIO_SAMPLE_RATE)
    seconds = np.arange(length) / AUDIO_SAMPLE_RATE
    kind = rng.integers(5)
    if kind == 0:
        sound = _noise(length, rng)
    elif kind == 1:
        sound = _noise(length, rng) * np.abs(np.sin(np.pi * seconds * rng.uniform(1.5, 6))) ** rng.uniform(1, 6)
    elif kind == 2:
        pitch = rng.uniform(50, 1500)
        sound = sum(np.sin(2 * np.pi * pitch * n * seconds) / n for n in range(1, int(rng.integers(2, 9))))  # type: ignore[assignment]
    elif kind == 3:
        sound = np.sin(2 * np.pi * rng.uniform(30, 300) * np.exp(seconds * rng.uniform(-1, 1)) * seconds)
    else:
        return np.zeros(length, np.float32)
    return _at_peak(sound + 0.01 * _noise(length, rng), rng)
