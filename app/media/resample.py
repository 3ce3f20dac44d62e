"""Decoded sound frames of any rate, layout and sample type -> one mono array at AUDIO_SAMPLE_RATE (swresample)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from av import AudioFrame, AudioResampler

from app.domain import AUDIO_SAMPLE_RATE, FloatArray
from app.media.subject import Subject, WorkLimitError

MIN_RATE, MAX_RATE = 1_000, 192_000
MAX_CHANNELS = 8
_MAX_CHANGES = 16
"""A chained Ogg may change its format; a file that does it all the time is an attack."""


class Resampler:
    """Averages channels itself: swresample's float downmix adds them with 0.71 each and goes over full scale."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._setup: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._changes = 0
        self._chunks: list[FloatArray] = []

    def push(self, frame: AudioFrame) -> None:
        """Raises `<kind>_unsupported` for a rate or channel count out of bounds."""
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup or self._resampler is None:
            self._change(frame, setup)
        frame.pts = None
        self._take(frame)

    def finish(self) -> FloatArray:
        """(n,) float32; scaled down by its peak where that is above 1. Non-finite samples stay for the caller."""
        self._take(None)
        samples = np.concatenate(self._chunks) if self._chunks else np.empty(0, np.float32)
        peak = float(np.abs(samples).max()) if len(samples) else 0.0
        return samples / np.float32(peak) if 1.0 < peak < np.inf else samples

    def _change(self, frame: AudioFrame, setup: tuple[str, str, int]) -> None:
        if not MIN_RATE <= frame.sample_rate <= MAX_RATE or not 1 <= frame.layout.nb_channels <= MAX_CHANNELS:
            raise self._subject.unsupported("rate_or_channels")
        self._changes += 1
        if self._changes > _MAX_CHANGES:
            raise WorkLimitError("format_changes")
        self._take(None)
        self._setup = setup
        self._resampler = AudioResampler(format="flt", layout=frame.layout.name, rate=AUDIO_SAMPLE_RATE)

    def _take(self, frame: AudioFrame | None) -> None:
        if self._resampler is None:
            return
        frames: Iterable[AudioFrame | None] = self._resampler.resample(frame)
        for out in frames:
            if out is None:  # PyAV's answer to a flush where there was nothing to convert
                continue
            # Interleaved on purpose: PyAV 18 reads beyond its pointers for eight or more separate planes.
            interleaved = out.to_ndarray().reshape(-1, out.layout.nb_channels)
            self._chunks.append(interleaved.mean(axis=1, dtype=np.float32))
