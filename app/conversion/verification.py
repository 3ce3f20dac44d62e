"""Does a model folder hold what its manifest says, and does it run?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from app.conversion.text_files import EMBEDDING_NAME, TOKENIZER_NAME
from app.domain import FloatArray
from app.encoders.manifest import Manifest
from app.encoders.probes import PROBE_TOKENS, Feeds, audio_feeds, decoder_feeds, vision_feeds
from app.errors import ArtifactError


def verify(folder: Path) -> Manifest:
    """Hash every file, load every graph and run it on a small probe. ArtifactError with the first thing wrong.

    A probe proves that the graph runs on this machine and gives finite numbers of the right width, no more.
    """
    manifest = Manifest.load(folder)
    manifest.verify(folder)
    embeds = _probe_embedding(folder, manifest)
    _probe(folder, "decoder.onnx", decoder_feeds(manifest.decoder, embeds), manifest.decoder.hidden_size)
    if manifest.vision is not None:
        _probe(folder, "vision.onnx", vision_feeds(manifest.vision), manifest.vision.out_hidden_size)
    if manifest.audio is not None:
        _probe(folder, "audio.onnx", audio_feeds(manifest.audio), manifest.audio.out_hidden_size)
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
