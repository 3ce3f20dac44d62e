"""Sounds that are no heart sound, for AFNet to learn to say so: voices, music, machines, weather, beeps, beats, noise.

None of these makes a sound that is measured with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from app.domain import AUDIO_SAMPLE_RATE, FloatArray

Samples = npt.NDArray[np.float64]
Player = Callable[[np.random.Generator, int], Samples]


def foreign_sounds(count: int, seed: int) -> Iterator[FloatArray]:
    """`count` sounds (n,) float32 of 1 to 6 s at AUDIO_SAMPLE_RATE, of varying loudness; the same for the same seed.

    In a third of them two kinds are mixed; half of them have passed a narrow band, as through a stethoscope.
    """
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        length = int(AUDIO_SAMPLE_RATE * rng.uniform(1, 6))
        sound = _unit(_PLAYERS[rng.integers(len(_PLAYERS))](rng, length))
        if rng.random() < 0.33:
            sound = sound + rng.uniform(0.1, 0.8) * _unit(_PLAYERS[rng.integers(len(_PLAYERS))](rng, length))
        if rng.random() < 0.5:
            sound = _band(sound, rng.uniform(20, 60), rng.uniform(600, 4000))
        yield (_unit(sound) * 10 ** rng.uniform(-1.5, -0.02)).astype(np.float32)


def _unit(sound: Samples) -> Samples:
    return sound / max(float(np.abs(sound).max()), 1e-9)


def _band(sound: Samples, low: float, high: float) -> Samples:
    return np.asarray(sosfilt(butter(2, (low, high), "band", fs=AUDIO_SAMPLE_RATE, output="sos"), sound))


def _clock(length: int) -> Samples:
    return np.arange(length) / AUDIO_SAMPLE_RATE


def _drift(rng: np.random.Generator, length: int, per_second: float) -> Samples:
    """A random curve of mean 0 and size about 1 that turns some times a second."""
    knots = max(4, int(length / AUDIO_SAMPLE_RATE * per_second) + 2)
    return np.interp(np.linspace(0, knots - 1, length), np.arange(knots), rng.normal(0, 1, knots))


def _voice(rng: np.random.Generator, length: int) -> Samples:
    """Speech-like: a gliding buzz through formants that change several times a second, in syllables with pauses."""
    pitch = rng.uniform(80, 300) * np.exp(0.12 * _drift(rng, length, 4))
    phase = np.cumsum(pitch) / AUDIO_SAMPLE_RATE
    buzz = 2 * (phase % 1) - 1 + 0.05 * rng.normal(0, 1, length)
    loud = np.clip(_drift(rng, length, rng.uniform(3, 8)) + rng.uniform(0, 0.8), 0, None)
    out = np.zeros(length)
    step = int(AUDIO_SAMPLE_RATE * rng.uniform(0.08, 0.25))
    for start in range(0, length, step):
        part = buzz[start : start + step]
        if rng.random() < 0.15:
            part = rng.normal(0, 0.4, len(part))  # a consonant
        for formant in (rng.uniform(250, 900), rng.uniform(900, 2500), rng.uniform(2300, 3500)):
            radius = np.exp(-np.pi * rng.uniform(60, 160) / AUDIO_SAMPLE_RATE)
            turn = 2 * radius * np.cos(2 * np.pi * formant / AUDIO_SAMPLE_RATE)
            out[start : start + step] += np.asarray(lfilter([1 - radius], [1, -turn, radius**2], part))
    return out * loud


def _crowd(rng: np.random.Generator, length: int) -> Samples:
    return np.asarray(sum(_unit(_voice(rng, length)) for _ in range(rng.integers(2, 6))))


def _music(rng: np.random.Generator, length: int) -> Samples:
    """Notes of a scale with harmonics that fade."""
    out, start = np.zeros(length), 0
    root, fade = rng.uniform(60, 400), rng.uniform(1, 12)
    while start < length:
        span = int(AUDIO_SAMPLE_RATE * rng.uniform(0.1, 0.7))
        t = _clock(min(span * 2, length - start))
        note = root * 2 ** (rng.choice((0, 2, 4, 5, 7, 9, 11, 12)) / 12)
        for harmonic in range(1, int(rng.integers(2, 8))):
            out[start : start + len(t)] += np.sin(2 * np.pi * note * harmonic * t) * np.exp(-fade * t) / harmonic
        start += span
    return out


def _beats(rng: np.random.Generator, length: int) -> Samples:
    """Strokes at a steady or an unsteady pace: drums, claps, steps, clicks, a knock at the door."""
    out, start = np.zeros(length), float(rng.uniform(0, 0.3))
    pace, wobble = rng.uniform(0.12, 1.2), rng.uniform(0, 0.3)
    pitch, fade, noisy = rng.uniform(40, 2500), rng.uniform(6, 120), rng.random()
    while start * AUDIO_SAMPLE_RATE < length:
        first = int(start * AUDIO_SAMPLE_RATE)
        t = _clock(min(AUDIO_SAMPLE_RATE, length - first))
        stroke = (1 - noisy) * np.sin(2 * np.pi * pitch * t * np.exp(-3 * t)) + noisy * rng.normal(0, 1, len(t))
        out[first:] [: len(t)] += rng.uniform(0.4, 1) * stroke * np.exp(-fade * t)  # fmt: skip
        start += pace * (1 + wobble * rng.normal()) if wobble else pace
        start = max(start, first / AUDIO_SAMPLE_RATE + 0.05)
    return out


def _noise(rng: np.random.Generator, length: int) -> Samples:
    """Rain, wind, hiss, traffic: noise of some colour that swells and falls."""
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    hertz = np.fft.rfftfreq(length, 1 / AUDIO_SAMPLE_RATE) + 5
    coloured = np.fft.irfft(spectrum * hertz ** -rng.uniform(-0.5, 2), length)
    return np.asarray(coloured * np.exp(rng.uniform(0, 1) * _drift(rng, length, rng.uniform(0.5, 4))))


def _hum(rng: np.random.Generator, length: int) -> Samples:
    """Mains, a fan, an engine: a low tone with harmonics and some unrest."""
    pitch = rng.uniform(20, 180) * np.exp(rng.uniform(0, 0.2) * _drift(rng, length, 1))
    phase = 2 * np.pi * np.cumsum(pitch) / AUDIO_SAMPLE_RATE
    harmonics = range(1, int(rng.integers(2, 15)))
    return np.asarray(sum(rng.random() * np.sin(n * phase + rng.uniform(0, 6)) for n in harmonics))


def _glide(rng: np.random.Generator, length: int) -> Samples:
    """A whistle, a siren, a sweep: one tone whose pitch wanders."""
    pitch = np.exp(np.log(rng.uniform(60, 2500)) + rng.uniform(0.1, 1.2) * _drift(rng, length, rng.uniform(0.4, 5)))
    return np.sin(2 * np.pi * np.cumsum(pitch) / AUDIO_SAMPLE_RATE)


def _beeps(rng: np.random.Generator, length: int) -> Samples:
    """An alarm, a monitor, a ringing telephone: steady tones, switched."""
    t = _clock(length)
    tone = np.sin(2 * np.pi * rng.uniform(200, 3000) * t) + np.sin(2 * np.pi * rng.uniform(200, 3000) * t)
    return tone * (np.sin(2 * np.pi * rng.uniform(0.5, 8) * t) > rng.uniform(-0.5, 0.7))


def _almost_nothing(rng: np.random.Generator, length: int) -> Samples:
    """A dead microphone: nothing, an offset, or a few clicks."""
    out = np.full(length, rng.choice((0.0, 1e-4)))
    out[rng.integers(0, length, rng.integers(0, 6))] = rng.uniform(-1, 1)
    return out


_PLAYERS: tuple[Player, ...] = (
    _voice, _voice, _crowd, _music, _beats, _beats, _noise, _hum, _glide, _beeps, _almost_nothing,
)  # fmt: skip
