"""Sounds of nothing medical, made by code: silence, noise, tones, beats, music and vowels as if someone spoke."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from app.domain import AUDIO_SAMPLE_RATE, FloatArray

SECONDS = 6.0
Samples = npt.NDArray[np.float64]
Player = Callable[[np.random.Generator], Samples]

_VOWELS = {"a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410)}
"""First three formants in Hz of a man's vowels (Peterson and Barney, 1952)."""
_SCALE = (262.0, 294.0, 330.0, 349.0, 392.0, 440.0, 494.0, 523.0)


def clock(seconds: float = SECONDS) -> Samples:
    """(n,) times in seconds."""
    return np.arange(round(seconds * AUDIO_SAMPLE_RATE)) / AUDIO_SAMPLE_RATE


# --------------------------------------------------------------------------- noise and tones
def silence(_rng: np.random.Generator) -> Samples:
    return np.zeros_like(clock())


def white_noise(rng: np.random.Generator) -> Samples:
    return rng.standard_normal(len(clock())) * 0.2


def pink_noise(rng: np.random.Generator) -> Samples:
    """Power falls with 1/f."""
    spectrum = np.fft.rfft(rng.standard_normal(len(clock())))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return _peak(np.fft.irfft(spectrum, len(clock())))


def tone(*hertz: float) -> Player:
    """Sines together, steady."""

    def play(_rng: np.random.Generator) -> Samples:
        return _peak(np.sum([np.sin(2 * np.pi * each * clock()) for each in hertz], axis=0))

    return play


def chirp(start: float, end: float) -> Player:
    """One sweep from `start` to `end` Hz."""

    def play(_rng: np.random.Generator) -> Samples:
        time = clock()
        return 0.5 * np.sin(2 * np.pi * (start * time + (end - start) * time**2 / (2 * SECONDS)))

    return play


def siren(_rng: np.random.Generator) -> Samples:
    """Up and down between 500 and 900 Hz, once in two seconds."""
    return 0.5 * np.sin(2 * np.pi * np.cumsum(700 + 200 * np.sin(np.pi * clock())) / AUDIO_SAMPLE_RATE)


# --------------------------------------------------------------------------- beats and music
def drum_loop(rng: np.random.Generator) -> Samples:
    """Bass drum, snare and cymbal at 120 beats a minute."""
    sound = np.zeros_like(clock())
    for step in range(int(SECONDS * 4)):
        time = clock(0.2)
        hit = 0.15 * rng.standard_normal(len(time)) * np.exp(-60 * time)
        if step % 4 == 0:
            hit += 0.8 * np.sin(2 * np.pi * 70 * time) * np.exp(-18 * time)
        if step % 4 == 2:
            hit += 0.5 * rng.standard_normal(len(time)) * np.exp(-22 * time)
        _mix(sound, hit, step * 0.25)
    return _peak(sound)


def metronome(_rng: np.random.Generator) -> Samples:
    sound = np.zeros_like(clock())
    time = clock(0.05)
    for beat in range(int(SECONDS * 2)):
        pitch = 1600 if beat % 4 == 0 else 1200
        _mix(sound, 0.6 * np.sin(2 * np.pi * pitch * time) * np.exp(-90 * time), beat * 0.5)
    return sound


def melody(rng: np.random.Generator) -> Samples:
    """Plucked notes of a major scale."""
    sound = np.zeros_like(clock())
    time = clock(0.6)
    for step, pitch in enumerate(rng.choice(_SCALE, 18)):
        overtones = [np.sin(2 * np.pi * pitch * part * time) / part for part in (1, 2, 3)]
        _mix(sound, np.sum(overtones, axis=0) * np.exp(-5 * time), step / 3)
    return _peak(sound)


def telephone_keys(rng: np.random.Generator) -> Samples:
    """Touch tones: a row's and a column's pitch for each key."""
    sound = np.zeros_like(clock())
    time = clock(0.25)
    for step in range(12):
        row, column = rng.choice((697, 770, 852, 941)), rng.choice((1209, 1336, 1477))
        _mix(sound, 0.3 * (np.sin(2 * np.pi * row * time) + np.sin(2 * np.pi * column * time)), step * 0.5)
    return sound


# --------------------------------------------------------------------------- as if someone spoke
def held_vowel(_rng: np.random.Generator) -> Samples:
    return _peak(_voiced(120.0, _VOWELS["a"], SECONDS))


def babble(rng: np.random.Generator) -> Samples:
    """Four syllables a second with the pitch of a sentence; no words."""
    sound = np.zeros_like(clock())
    names = sorted(_VOWELS)
    for step in range(int(SECONDS * 4)):
        pitch = 130 - 25 * (step % 8) / 8 + rng.normal(0, 4)
        syllable = _voiced(float(pitch), _VOWELS[names[rng.integers(len(names))]], 0.2)
        _mix(sound, syllable * np.hanning(len(syllable)), step * 0.25)
    return _peak(sound)


def _voiced(pitch: float, formants: Sequence[float], seconds: float) -> Samples:
    """Harmonics of `pitch`, strong near the formants."""
    time = clock(seconds)
    sound = np.zeros_like(time)
    for harmonic in np.arange(pitch, 4000, pitch):
        strength = sum(np.exp(-(((harmonic - formant) / 120) ** 2)) / rank for rank, formant in enumerate(formants, 1))
        sound += (strength + 0.02) * np.sin(2 * np.pi * harmonic * time)
    return sound


def _mix(sound: Samples, note: Samples, start_s: float) -> None:
    """Adds `note` to `sound` in place, cut at the end."""
    begin = round(start_s * AUDIO_SAMPLE_RATE)
    note = note[: len(sound) - begin]
    sound[begin : begin + len(note)] += note


def _peak(sound: Samples) -> Samples:
    """Scaled to a peak of 0.7."""
    return sound * (0.7 / float(np.abs(sound).max()))


def waveform(player: Player, rng: np.random.Generator) -> FloatArray:
    """(n,) float32 in [-1, 1] at AUDIO_SAMPLE_RATE."""
    return np.clip(player(rng), -1, 1).astype(np.float32)


SOUNDS: Mapping[str, Player] = {
    "silence": silence,
    "white_noise": white_noise,
    "pink_noise": pink_noise,
    "tone_440": tone(440),
    "tone_1000": tone(1000),
    "mains_hum": tone(60, 120, 180),
    "chord": tone(262, 330, 392),
    "rising_chirp": chirp(200, 4000),
    "falling_chirp": chirp(3000, 150),
    "siren": siren,
    "drum_loop": drum_loop,
    "metronome": metronome,
    "melody": melody,
    "telephone_keys": telephone_keys,
    "held_vowel": held_vowel,
    "babble": babble,
}
