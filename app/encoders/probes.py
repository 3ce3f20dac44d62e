"""Small inputs that drive each graph once: to see that it runs, and that two forms of it agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.manifest import AudioSpec, DecoderSpec, VisionSpec

PROBE_TOKENS = 4
Feeds = dict[str, npt.NDArray[Any]]


def decoder_feeds(spec: DecoderSpec, embeddings: FloatArray) -> Feeds:
    """The converted decoder over `embeddings` (1, seq, hidden)."""
    length = embeddings.shape[1]
    angles = np.outer(np.arange(length), spec.rope_inv_freq).astype(np.float32)
    return {
        "inputs_embeds": embeddings,
        "seqlens_k": np.array([length - 1], np.int32),
        "total_sequence_length": np.array([length], np.int32),
        "rope_cos": np.cos(angles),
        "rope_sin": np.sin(angles),
    }


def vision_feeds(spec: VisionSpec) -> Feeds:
    """One grey window."""
    slots = (spec.window_size // spec.patch_size) ** 2
    patch = 3 * spec.temporal_patch_size * spec.patch_size**2
    return {
        "pixel_values": np.zeros((1, 1, slots, patch), np.float32),
        "cos": np.ones((1, slots, spec.head_dim), np.float32),
        "sin": np.zeros((1, slots, spec.head_dim), np.float32),
        "key_bias": np.zeros((1, slots), np.float32),
    }


def audio_feeds(spec: AudioSpec) -> Feeds:
    """One chunk of silence."""
    return {
        "input_features": np.zeros((1, spec.num_mel_bins, 2 * spec.n_window), np.float32),
        "feature_mask": np.ones((1, 1, 2 * spec.n_window), np.float32),
        "key_bias": np.zeros((1, spec.n_window), np.float32),
    }
