"""Does a model folder hold what its manifest says, and does it run?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from app.conversion.text_files import EMBEDDING_NAME, TOKENIZER_NAME
from app.domain import FloatArray
from app.encoders.manifest import AudioSpec, Manifest, VisionSpec
from app.errors import ArtifactError

PROBE_TOKENS = 4
Feeds = dict[str, npt.NDArray[Any]]


def verify(folder: Path) -> Manifest:
    """Hash every file, load every graph and run it on a small probe. ArtifactError with the first thing wrong.

    A probe proves that the graph runs on this machine and gives finite numbers of the right width, no more.
    """
    manifest = Manifest.load(folder)
    manifest.verify(folder)
    embeds = _probe_embedding(folder, manifest)
    _probe(folder, "decoder.onnx", _decoder_feeds(manifest, embeds), manifest.decoder.hidden_size)
    if manifest.vision is not None:
        _probe(folder, "vision.onnx", _vision_feeds(manifest.vision), manifest.vision.out_hidden_size)
    if manifest.audio is not None:
        _probe(folder, "audio.onnx", _audio_feeds(manifest.audio), manifest.audio.out_hidden_size)
    return manifest


def _probe_embedding(folder: Path, manifest: Manifest) -> FloatArray:
    """The first tokens' embeddings (1, PROBE_TOKENS, hidden), through the tokenizer's own vocabulary size."""
    try:
        vocabulary = Tokenizer.from_file(str(folder / TOKENIZER_NAME)).get_vocab_size()
        table = np.load(folder / EMBEDDING_NAME, mmap_mode="r")
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise _wrong(folder, "tokenizer or embedding", str(error)) from error
    spec = manifest.decoder
    if table.shape != (spec.vocab_size, spec.hidden_size) or vocabulary > spec.vocab_size:
        raise _wrong(folder, EMBEDDING_NAME, f"{table.shape} for {vocabulary} tokens of width {spec.hidden_size}")
    return np.asarray(table[None, :PROBE_TOKENS], np.float32)


def _decoder_feeds(manifest: Manifest, embeds: FloatArray) -> Feeds:
    length = embeds.shape[1]
    angles = np.outer(np.arange(length), manifest.decoder.rope_inv_freq).astype(np.float32)
    return {
        "inputs_embeds": embeds,
        "seqlens_k": np.array([length - 1], np.int32),
        "total_sequence_length": np.array([length], np.int32),
        "rope_cos": np.cos(angles),
        "rope_sin": np.sin(angles),
    }


def _vision_feeds(spec: VisionSpec) -> Feeds:
    """One grey window."""
    slots = (spec.window_size // spec.patch_size) ** 2
    patch = 3 * spec.temporal_patch_size * spec.patch_size**2
    return {
        "pixel_values": np.zeros((1, 1, slots, patch), np.float32),
        "cos": np.ones((1, slots, spec.head_dim), np.float32),
        "sin": np.zeros((1, slots, spec.head_dim), np.float32),
        "key_bias": np.zeros((1, slots), np.float32),
    }


def _audio_feeds(spec: AudioSpec) -> Feeds:
    """One chunk of silence."""
    return {
        "input_features": np.zeros((1, spec.num_mel_bins, 2 * spec.n_window), np.float32),
        "feature_mask": np.ones((1, 1, 2 * spec.n_window), np.float32),
        "key_bias": np.zeros((1, spec.n_window), np.float32),
    }


def _probe(folder: Path, name: str, feeds: Feeds, width: int) -> None:
    try:
        session = ort.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        output = session.run(None, feeds)[0]
    except Exception as error:  # ONNX Runtime's errors share no base but Exception
        raise _wrong(folder, name, str(error)) from error
    if output.shape[-1] != width or not np.isfinite(output).all():
        raise _wrong(folder, name, f"the probe gave {output.shape}, or a number that is not finite")


def _wrong(folder: Path, file: str, reason: str) -> ArtifactError:
    return ArtifactError("model_unusable", folder=str(folder), file=file, reason=" ".join(reason.split()))
