"""The text path that both encoders share: tokenizer, token embedding table, decoder graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.decoder_io import FILE, OUTPUT, past_names, present_names
from app.encoders.manifest import Manifest
from app.encoders.session import Cancellation, Feeds, Session, SessionFactory, decoder_graph
from app.encoders.tmrope import IntArray, rope_tables
from app.encoders.tokenizer import PromptTokenizer
from app.errors import ArtifactError, PayloadTooLargeError

EMBEDDING_NAME = "token_embedding.npy"


@dataclass(frozen=True, slots=True)
class Past:
    """Tokens that a decoder has read: ids (n,), hidden states (n, hidden), and keys and values, layer by layer."""

    ids: IntArray
    states: FloatArray
    keys_and_values: tuple[FloatArray, ...]

    def begins(self, ids: IntArray) -> bool:
        """Whether a longer sequence `ids` (seq,) starts with these tokens."""
        return len(ids) > len(self.ids) and np.array_equal(ids[: len(self.ids)], self.ids)


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
        self._prefix = self._run_prefix()

    @classmethod
    def load(
        cls, folder: Path, manifest: Manifest, *, threads: int, max_text_tokens: int, open_session: SessionFactory
    ) -> Self:
        """ArtifactError where a file is missing or damaged or does not fit the manifest."""
        tokenizer = PromptTokenizer.load(folder, manifest)
        table = load_embedding_table(folder, manifest)
        session = open_session(folder, decoder_graph(manifest.decoder), threads)
        return cls(manifest, tokenizer, table, session, max_text_tokens)

    def text_ids(self, text: str | None) -> list[int]:
        """The first `max_text_tokens` token ids of the user's text; empty for None and for white space."""
        return self.tokenizer.encode(text)[: self.max_text_tokens] if text else []

    def truncates(self, text: str) -> bool:
        return len(self.tokenizer.encode(text)) > self.max_text_tokens

    def embed(self, ids: npt.ArrayLike) -> FloatArray:
        """(seq,) -> (seq, hidden) float32, a copy."""
        return np.array(self._table[np.asarray(ids, np.int64)], dtype=np.float32)

    def hidden_states(
        self, ids: npt.ArrayLike, embeddings: FloatArray, positions: IntArray, cancellation: Cancellation
    ) -> FloatArray:
        """Token ids (seq,), their embeddings (seq, hidden) and positions (3, seq) -> hidden states (seq, hidden) after
        the cut layer.

        Where the sequence begins with the prompt's prefix, the prefix's part is not run again.
        PayloadTooLargeError where a position lies beyond what the checkpoint was made for.
        """
        if int(positions.max()) >= self.manifest.decoder.max_position:
            raise PayloadTooLargeError("sequence_too_long", limit=self.manifest.decoder.max_position)
        past = self._prefix if self._prefix.begins(np.asarray(ids, np.int64)) else self._nothing()
        output = self._session.run(self._feeds(embeddings, positions, past), cancellation)
        expected = (1, len(embeddings) - len(past.ids), self.manifest.decoder.hidden_size)
        if output.shape != expected:
            raise ArtifactError("model_output_shape", graph=FILE)
        return np.concatenate([past.states, output[0]])

    def _feeds(self, embeddings: FloatArray, positions: IntArray, past: Past) -> Feeds:
        """For the tokens after `past`; the rotary tables and the lengths cover the whole sequence."""
        spec = self.manifest.decoder
        length = len(embeddings)
        cos, sin = rope_tables(positions, spec.rope_inv_freq, spec.mrope_section)
        return {
            "inputs_embeds": embeddings[None, len(past.ids) :],
            "seqlens_k": np.array([length - 1], np.int32),
            "total_sequence_length": np.array([length], np.int32),
            "rope_cos": cos,
            "rope_sin": sin,
            **dict(zip(past_names(spec.cut_layer), past.keys_and_values, strict=True)),
        }

    def _run_prefix(self) -> Past:
        """The constant tokens before every segment, run once."""
        ids = np.array(self.tokenizer.prefix, np.int64)
        if not len(ids):
            return self._nothing()
        feeds = self._feeds(self.embed(ids), text_positions(len(ids)), self._nothing())
        outputs = self._session.run_all(feeds, Cancellation())
        present = present_names(self.manifest.decoder.cut_layer)
        return Past(ids, outputs[OUTPUT][0], tuple(outputs[name] for name in present))

    def _nothing(self) -> Past:
        spec = self.manifest.decoder
        empty = np.zeros((1, spec.kv_heads, 0, spec.head_dim), np.float32)
        states = np.zeros((0, spec.hidden_size), np.float32)
        return Past(np.zeros(0, np.int64), states, (empty,) * (2 * spec.cut_layer))


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
