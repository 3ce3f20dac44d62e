"""Waveform -> what the Qwen2.5-Omni audio tower reads: Whisper's log-mel spectrogram, laid out in chunks.

The spectrogram follows transformers' `WhisperFeatureExtractor` for a clip that it pads with silence: frames centred on
every hop, reflected at the start, base-10 logarithm, at most 8 below the loudest value, (x + 4) / 4. Only the frames of
the clip itself are kept, as its attention mask does.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.manifest import AudioSpec
from app.encoders.tmrope import audio_token_count
from app.errors import InvalidInputError

LOG_FLOOR = 1e-10
DYNAMIC_RANGE = 8.0
MIN_FRAMES = 3
"""Mel frames below which the tower gives no token."""
MAX_FREQUENCY = 8_000.0
FRAMES_AT_ONCE = 3_000
"""Half a minute: the spectra of five minutes in double precision would take 400 MB at once."""
MASKED = np.float32(-1e9)


def log_mel(samples: FloatArray, spec: AudioSpec) -> FloatArray:
    """(num_mel_bins, ceil(n / hop_length)) of mono samples (n,) at `spec.sampling_rate`.

    A clip too short for one token is continued with silence. InvalidInputError for NaN or infinite samples.
    """
    if not np.isfinite(samples).all():
        raise InvalidInputError("audio_not_finite")
    hop, half = spec.hop_length, spec.n_fft // 2
    clip = np.pad(samples, (0, max(0, MIN_FRAMES * hop - len(samples), half + 1 - len(samples))))
    kept = -(-len(clip) // hop)
    heard = -(-(len(clip) + half) // hop)  # the frames after the clip's end still hear it, and count for the maximum
    padded = np.zeros((heard - 1) * hop + spec.n_fft, np.float32)
    padded[:half] = clip[half:0:-1]
    padded[half : half + len(clip)] = clip
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[::hop]
    parts = [_log_power(frames[start : start + FRAMES_AT_ONCE], spec) for start in range(0, heard, FRAMES_AT_ONCE)]
    logarithm = np.concatenate(parts)
    scaled = (np.maximum(logarithm, logarithm.max() - DYNAMIC_RANGE) + 4.0) / 4.0
    return np.ascontiguousarray(scaled[:kept].T, dtype=np.float32)


def _log_power(frames: FloatArray, spec: AudioSpec) -> npt.NDArray[np.float64]:
    """Windows of samples (n, n_fft) -> base-10 logarithm of their power on the mel scale (n, num_mel_bins)."""
    spectrum = np.fft.rfft(frames * _hann(spec.n_fft))
    power = spectrum.real**2 + spectrum.imag**2  # (n, n_fft / 2 + 1)
    return np.log10(np.maximum(power @ mel_filters(spec), LOG_FLOOR))


@lru_cache(maxsize=4)
def _hann(length: int) -> npt.NDArray[np.float64]:
    """Periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@lru_cache(maxsize=4)
def mel_filters(spec: AudioSpec) -> npt.NDArray[np.float64]:
    """(n_fft / 2 + 1, num_mel_bins) triangular filters on Slaney's mel scale, each of unit area."""
    bins = np.linspace(0, spec.sampling_rate // 2, 1 + spec.n_fft // 2)
    top = _hertz_to_mel(np.array([MAX_FREQUENCY]))[0]
    edges = _mel_to_hertz(np.linspace(0.0, top, spec.num_mel_bins + 2))
    widths = np.diff(edges)
    slopes = edges[None] - bins[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: npt.NDArray[np.float64] = triangles * (2.0 / (edges[2:] - edges[:-2]))
    return filters


# Slaney's scale: linear below 1 kHz (3 mel per 200 Hz), logarithmic above (27 mel per factor of 6.4).
def _hertz_to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = 3.0 * hertz / 200.0
    return np.where(hertz < 1000.0, linear, 15.0 + np.log(np.maximum(hertz, 1.0) / 1000.0) * (27.0 / np.log(6.4)))


def _mel_to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15.0, 200.0 * mel / 3.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)))


# --------------------------------------------------------------------------- chunk layout
def chunk_feeds(mel: FloatArray, spec: AudioSpec) -> dict[str, FloatArray]:
    """Inputs of the audio graph for mel (bins, frames): C chunks of 2 * n_window frames, the last one padded.

    input_features (C, bins, 2 * n_window), feature_mask (C, 1, 2 * n_window), key_bias (C, n_window).
    """
    size = 2 * spec.n_window
    bins, frames = mel.shape
    count = -(-frames // size)
    padded = np.zeros((bins, count * size), np.float32)
    padded[:, :frames] = mel
    lengths = np.minimum(size, frames - size * np.arange(count))
    present = np.arange(size) < lengths[:, None]
    heard = np.arange(spec.n_window) < ((lengths - 1) // 2 + 1)[:, None]  # after the stride-2 convolution
    return {
        "input_features": np.ascontiguousarray(padded.reshape(bins, count, size).transpose(1, 0, 2)),
        "feature_mask": present[:, None].astype(np.float32),
        "key_bias": np.where(heard, np.float32(0), MASKED),
    }


def collect_chunks(output: FloatArray, frames: int) -> FloatArray:
    """The graph's output (C, n_window / 2, hidden) -> tokens (audio_token_count(frames), hidden)."""
    return output.reshape(-1, output.shape[-1])[: audio_token_count(frames)]
