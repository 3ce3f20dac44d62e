"""The text path that both encoders share: tokenizer, token embedding table, decoder graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.manifest import Manifest
from app.encoders.session import DECODER_GRAPH, Cancellation, Session, SessionFactory
from app.encoders.tmrope import IntArray, rope_tables
from app.encoders.tokenizer import PromptTokenizer
from app.errors import ArtifactError, PayloadTooLargeError

EMBEDDING_NAME = "token_embedding.npy"


class Backbone:
    """Embeds tokens and runs the decoder's first `cut_layer` layers over one sequence."""

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: PromptTokenizer,
        table: npt.NDArray[Any],
        session: Session,
        max_text_tokens: int,
    ) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.max_text_tokens = max_text_tokens
        self._table = table
        self._session = session

    @classmethod
    def load(
        cls, folder: Path, manifest: Manifest, *, threads: int, max_text_tokens: int, open_session: SessionFactory
    ) -> Self:
        """ArtifactError where a file is missing or damaged or does not fit the manifest."""
        tokenizer = PromptTokenizer.load(folder, manifest)
        table = load_embedding_table(folder, manifest)
        return cls(manifest, tokenizer, table, open_session(folder, DECODER_GRAPH, threads), max_text_tokens)

    def text_ids(self, text: str | None) -> list[int]:
        """The first `max_text_tokens` token ids of the user's text; empty for None and for white space."""
        return self.tokenizer.encode(text)[: self.max_text_tokens] if text else []

    def truncates(self, text: str) -> bool:
        return len(self.tokenizer.encode(text)) > self.max_text_tokens

    def embed(self, ids: npt.ArrayLike) -> FloatArray:
        """(seq,) -> (seq, hidden) float32, a copy."""
        return np.array(self._table[np.asarray(ids, np.int64)], dtype=np.float32)

    def hidden_states(self, embeddings: FloatArray, positions: IntArray, cancellation: Cancellation) -> FloatArray:
        """(seq, hidden) and positions (3, seq) -> hidden states (seq, hidden) after the cut layer.

        PayloadTooLargeError where a position lies beyond what the checkpoint was made for.
        """
        spec = self.manifest.decoder
        length = len(embeddings)
        if int(positions.max()) >= spec.max_position:
            raise PayloadTooLargeError("sequence_too_long", limit=spec.max_position)
        cos, sin = rope_tables(positions, spec.rope_inv_freq, spec.mrope_section)
        feeds = {
            "inputs_embeds": embeddings[None],
            "seqlens_k": np.array([length - 1], np.int32),
            "total_sequence_length": np.array([length], np.int32),
            "rope_cos": cos,
            "rope_sin": sin,
        }
        output = self._session.run(feeds, cancellation)
        if output.shape != (1, length, spec.hidden_size):
            raise ArtifactError("model_output_shape", graph=DECODER_GRAPH.file)
        states: FloatArray = output[0]
        return states


def text_positions(length: int) -> IntArray:
    """(3, length): plain text turns all three axes together."""
    return np.broadcast_to(np.arange(length, dtype=np.int64), (3, length))


def load_embedding_table(folder: Path, manifest: Manifest) -> npt.NDArray[Any]:
    """The memory-mapped (vocab, hidden) table. ArtifactError where it is not what the manifest says."""
    path = folder / EMBEDDING_NAME
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError("model_embedding_invalid", file=str(path)) from error
    expected: Sequence[int] = (manifest.decoder.vocab_size, manifest.decoder.hidden_size)
    if table.shape != tuple(expected) or table.dtype not in (np.float16, np.float32):
        raise ArtifactError("model_embedding_mismatch", file=str(path), reason=f"{table.dtype} {table.shape}")
    return np.asarray(table)
