"""A text decoder converted once at full depth, read after any of its layers.

The residual stream after layer K is a value inside the converted graph: made an output, one run gives the embeddings
of every cut. A graph that ends there is a matter of its protobuf only, and is what gets timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from app.conversion import ConversionRequest, NoProgress, convert
from app.domain import FloatArray
from app.encoders.cache import EmbeddingCache
from app.encoders.manifest import Manifest, Quantization
from app.encoders.pooled import POOLING_VERSION, pool_sequences
from app.encoders.sequence import join, text_segment
from app.encoders.session import session_options
from app.encoders.tmrope import IntArray, rope_tables
from app.encoders.tokenizer import PromptTokenizer
from app.errors import ArtifactError

MAX_TEXT_TOKENS = 512
"""As `MedicalEncoder` has it."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to store the decoder's weights."""

    name: str
    quantization: Quantization
    block_size: int = 128


SCHEMES = (
    Scheme("fp32", "none"),
    Scheme("fp16", "fp16"),
    Scheme("int8", "int8"),
    Scheme("int4, block 32", "int4", 32),
    Scheme("int4, block 128", "int4", 128),
)
"""The first one is what the others are compared with."""
SHARES = (4 / 30, 8 / 30, 10 / 30, 15 / 30, 20 / 30, 1.0)
"""Of the depth; SmolLM2 has 30 layers."""


def cut_layers(layers: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Shares of the depth as numbers of layers, ascending, each once."""
    return tuple(sorted({min(layers, max(1, round(share * layers))) for share in shares}))


def convert_whole(checkpoint: Path, scheme: Scheme, folder: Path, prompt_prefix: str) -> Manifest:
    """The whole decoder of a checkpoint in `folder`. ArtifactError for one that cannot be used."""
    request = ConversionRequest(
        checkpoint=checkpoint,
        output=folder,
        quantization=scheme.quantization,
        source=checkpoint.name,
        source_revision="local",
        block_size=scheme.block_size,
        prompt_prefix=prompt_prefix,
        slot="medical",
    )
    return convert(request, NoProgress())


class DepthEncoder:
    """Text -> the vectors that `MedicalEncoder` would give at every cut. One thread."""

    def __init__(self, folder: Path, cuts: Sequence[int], cache: EmbeddingCache) -> None:
        """`folder` holds a whole decoder; graphs cut from it are written beside it, their weights stay where they are.

        ArtifactError where the folder is damaged.
        """
        self.manifest = Manifest.load(folder)
        self.cuts = tuple(cuts)
        self._folder = folder
        self._tokenizer = PromptTokenizer.load(folder, self.manifest)
        self._table = np.load(folder / "token_embedding.npy", mmap_mode="r", allow_pickle=False)
        self._sessions: dict[tuple[int, ...], ort.InferenceSession] = {}
        self._cache = cache

    def tokens(self, text: str) -> list[int]:
        """Ids of the text itself, those that are pooled."""
        return self._tokenizer.encode(text)[:MAX_TEXT_TOKENS]

    def encode(self, text: str) -> dict[int, FloatArray]:
        """Cut -> (hidden,) float32, from the cache where it holds every one. ArtifactError for NaN."""
        ids = self.tokens(text)
        scope = f"{self.manifest.digest} {POOLING_VERSION} {ort.__version__}".encode()
        content = np.array(ids, np.int64)
        keys = {cut: self._cache.key((scope, str(cut).encode(), content)) for cut in self.cuts}
        found = {cut: vector for cut, key in keys.items() if (vector := self._cache.get(key)) is not None}
        if len(found) == len(keys):
            return found
        vectors = self.pooled(ids, self.cuts)
        for cut, vector in vectors.items():
            self._cache.put(keys[cut], vector)
        return vectors

    def pooled(self, ids: Sequence[int], cuts: Sequence[int]) -> dict[int, FloatArray]:
        """Mean over the text's own tokens after each of `cuts`; nothing beyond the deepest of them is computed."""
        sequence = join(self._tokenizer.prefix, [text_segment(ids)])
        states = dict(zip(cuts, self._run(sequence.ids, cuts), strict=True))
        return {cut: pool_sequences([sequence], lambda _, cut=cut: states[cut])[0] for cut in cuts}  # type: ignore[misc]

    def weight_bytes(self, cut: int) -> int:
        """Of the first `cut` layers: weights, scales and biases; the token embedding is not among them."""
        layers = tuple(f"L{layer}." for layer in range(cut))
        return sum(
            math.prod(one.dims) * helper.tensor_dtype_to_np_dtype(one.data_type).itemsize
            for one in _load(self._folder).graph.initializer
            if one.name.startswith(layers)
        )

    def _run(self, ids: IntArray, cuts: Sequence[int]) -> list[FloatArray]:
        spec, length = self.manifest.decoder, len(ids)
        positions = np.broadcast_to(np.arange(length), (3, length))
        cos, sin = rope_tables(positions, spec.rope_inv_freq, spec.mrope_section)
        feeds = {
            "inputs_embeds": np.array(self._table[ids], np.float32)[None],
            "seqlens_k": np.array([length - 1], np.int32),
            "total_sequence_length": np.array([length], np.int32),
            "rope_cos": cos,
            "rope_sin": sin,
        }
        return [output[0] for output in self._session(tuple(cuts)).run(None, feeds)]

    def _session(self, cuts: tuple[int, ...]) -> ort.InferenceSession:
        if cuts not in self._sessions:
            path = self._folder / f"until-{'-'.join(map(str, cuts))}.onnx"
            outputs = [
                "hidden_states" if cut == self.manifest.decoder.cut_layer else f"L{cut}/norm1/sum" for cut in cuts
            ]
            onnx.save(graph_until(_load(self._folder), outputs), path)
            session = ort.InferenceSession(str(path), session_options(1), providers=["CPUExecutionProvider"])
            self._sessions[cuts] = session
        return self._sessions[cuts]


def graph_until(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """A copy whose outputs are these values (1, seq, hidden), without the nodes and weights that none of them needs."""
    needed, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    made = {name for node in kept for name in node.output}
    if missing := [name for name in outputs if name not in made]:
        raise ArtifactError("model_graph_mismatch", file="decoder.onnx", reason=f"no value {missing[0]} to cut at")
    graph = helper.make_graph(
        kept[::-1],
        model.graph.name,
        model.graph.input,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "seq", None]) for name in outputs],
        [one for one in model.graph.initializer if one.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _load(folder: Path) -> onnx.ModelProto:
    """The graph without its weights."""
    return onnx.load(folder / "decoder.onnx", load_external_data=False)
