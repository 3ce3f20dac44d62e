"""The host's side of the graphs, written for the tests alone: layouts, rotary tables, one run.

Straightforward loops on purpose. The product's own version is in app/encoders and is tested against whole models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from app.encoders.manifest import AudioSpec, DecoderSpec, VisionSpec

PADDED = -1e9


def session(path: Path, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def rope_tables(spec: DecoderSpec, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """positions (seq,) or TMRoPE's (3, seq) -> cos, sin (seq, head_dim / 2)."""
    frequencies = np.array(spec.rope_inv_freq, np.float32)
    if positions.ndim == 1:
        angles = positions[:, None].astype(np.float32) * frequencies
    else:
        axis = np.repeat([0, 1, 2], spec.mrope_section)
        angles = positions[axis].T.astype(np.float32) * frequencies
    return np.cos(angles), np.sin(angles)


def run_decoder(path: Path, spec: DecoderSpec, embeds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """embeds (seq, hidden) -> (seq, hidden)."""
    cos, sin = rope_tables(spec, positions)
    length = len(embeds)
    feeds = {
        "inputs_embeds": embeds[None].astype(np.float32),
        "seqlens_k": np.array([length - 1], np.int32),
        "total_sequence_length": np.array([length], np.int32),
        "rope_cos": cos,
        "rope_sin": sin,
    }
    return session(path).run(["hidden_states"], feeds)[0][0]


def run_vision(path: Path, spec: VisionSpec, patches: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """patches (t * h * w, width) in the processor's order -> (t * h * w / merge ** 2, out)."""
    frames, height, width = grid
    merge = spec.spatial_merge_size
    rows, columns = height // merge, width // merge
    side = spec.window_size // merge // spec.patch_size
    windows = [
        [(r, c) for r in range(top, min(top + side, rows)) for c in range(left, min(left + side, columns))]
        for top in range(0, rows, side)
        for left in range(0, columns, side)
    ]
    per_unit = merge**2
    slots = side**2 * per_unit
    pixels = np.zeros((frames, len(windows), slots, patches.shape[1]), np.float32)
    angles = np.zeros((len(windows), slots, spec.head_dim // 2), np.float32)
    bias = np.full((len(windows), slots), PADDED, np.float32)
    quarter = spec.head_dim // 2
    frequencies = 1.0 / 10000.0 ** (np.arange(0, quarter, 2, dtype=np.float32) / np.float32(quarter))
    by_frame = patches.reshape(frames, rows * columns, per_unit, -1)
    for window, units in enumerate(windows):
        for place, (r, c) in enumerate(units):
            for patch in range(per_unit):
                slot = place * per_unit + patch
                pixels[:, window, slot] = by_frame[:, r * columns + c, patch]
                at = (r * merge + patch // merge, c * merge + patch % merge)
                angles[window, slot] = np.concatenate([at[0] * frequencies, at[1] * frequencies])
                bias[window, slot] = 0
    angles = np.concatenate([angles, angles], axis=-1)
    feeds = {"pixel_values": pixels, "cos": np.cos(angles), "sin": np.sin(angles), "key_bias": bias}
    out = session(path).run(["image_embeds"], feeds)[0].reshape(frames, len(windows), side**2, -1)
    embeds = np.zeros((frames, rows * columns, out.shape[-1]), np.float32)
    for window, units in enumerate(windows):
        for place, (r, c) in enumerate(units):
            embeds[:, r * columns + c] = out[:, window, place]
    return embeds.reshape(-1, out.shape[-1])


def run_audio(path: Path, spec: AudioSpec, mel: np.ndarray) -> np.ndarray:
    """mel (bins, frames) -> (tokens, out)."""
    size = 2 * spec.n_window
    chunks = [mel[:, start : start + size] for start in range(0, mel.shape[1], size)]
    features = np.zeros((len(chunks), mel.shape[0], size), np.float32)
    mask = np.zeros((len(chunks), 1, size), np.float32)
    bias = np.full((len(chunks), spec.n_window), PADDED, np.float32)
    after_convolution = 0
    for index, chunk in enumerate(chunks):
        frames = chunk.shape[1]
        features[index, :, :frames] = chunk
        mask[index, :, :frames] = 1
        bias[index, : (frames - 1) // 2 + 1] = 0
        after_convolution += (frames - 1) // 2 + 1
    feeds = {"input_features": features, "feature_mask": mask, "key_bias": bias}
    out = session(path).run(["audio_embeds"], feeds)[0]
    return out.reshape(-1, out.shape[-1])[: (after_convolution - 2) // 2 + 1]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two mean-pooled sequences (seq, width)."""
    a, b = a.mean(axis=0), b.mean(axis=0)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
