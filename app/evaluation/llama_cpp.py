"""llama.cpp beside the service: random GGUF files of the same text shapes as Q4_K_M, and llama-bench run on them.

The bytes of the quantised blocks are random, their scales are set so that weights are about N(0, 0.02): the answers
mean nothing, the work is that of real weights.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from app.evaluation.full_size_shapes import TextShape

_POOL_BLOCKS = 65_537
"""A prime: no two layers begin at the same block."""
_FILE_TYPE_Q4_K_M = 15
_WEIGHT_SCALE = 0.02
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LlamaTiming:
    """Seconds of every repetition of one prompt."""

    layers: int
    tokens: int
    threads: int
    repack: bool
    seconds: tuple[float, ...]


def write_gguf(path: Path, shape: TextShape, seed: int = 0) -> None:
    """A Llama-class model, or a Qwen2-class one where q, k and v have biases. Memory holds a few MB of it."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

    partial = path.with_suffix(".partial")
    writer: Any = GGUFWriter(partial, "qwen2" if shape.qkv_bias else "llama")
    _write_keys(writer, shape)
    rng = np.random.default_rng(seed)
    pools = {"Q4_K": _q4_k_blocks(rng), "Q6_K": _q6_k_blocks(rng)}
    tensors = list(gguf_tensors(shape))
    for name, dims, kind in tensors:
        if kind == "F32":
            writer.add_tensor_info(name, dims, np.dtype(np.float32), 4 * math.prod(dims))
        else:
            weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
            row = (dims[0], dims[1] // weights * size)
            writer.add_tensor_info(name, row, np.dtype(np.uint8), math.prod(row), GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    at = 0
    for name, dims, kind in tensors:
        if kind == "F32":
            writer.write_tensor_data(np.full(dims, 0.0 if name.endswith("bias") else 1.0, np.float32))
        else:
            blocks = _Blocks(pools[kind], math.prod(dims) // 256, at)
            writer.write_tensor_data(blocks)
            at += blocks.count
    writer.close()
    partial.rename(path)


def gguf_tensors(shape: TextShape) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, (rows, width), type, in the mix that llama-quantize makes for Q4_K_M."""
    hidden, wide, narrow = shape.hidden, shape.intermediate, shape.kv_heads * shape.head_dim
    yield "token_embd.weight", (shape.vocabulary, hidden), "Q4_K"
    for index in range(shape.layers):
        better = "Q6_K" if _has_more_bits(index, shape.layers) else "Q4_K"
        block = f"blk.{index}."
        yield f"{block}attn_norm.weight", (hidden,), "F32"
        for name, rows, kind in (("q", hidden, "Q4_K"), ("k", narrow, "Q4_K"), ("v", narrow, better)):
            yield f"{block}attn_{name}.weight", (rows, hidden), kind
            if shape.qkv_bias:
                yield f"{block}attn_{name}.bias", (rows,), "F32"
        yield f"{block}attn_output.weight", (hidden, hidden), "Q4_K"
        yield f"{block}ffn_norm.weight", (hidden,), "F32"
        yield f"{block}ffn_gate.weight", (wide, hidden), "Q4_K"
        yield f"{block}ffn_up.weight", (wide, hidden), "Q4_K"
        yield f"{block}ffn_down.weight", (hidden, wide), better
    yield "output_norm.weight", (hidden,), "F32"
    yield "output.weight", (shape.vocabulary, hidden), "Q6_K"


def run_llama_bench(
    program: Path, model: Path, *, tokens: int, threads: int, repetitions: int, repack: bool
) -> LlamaTiming:
    """One prompt of `tokens`, after llama-bench's own warm-up. RuntimeError with its last words where it fails."""
    command = [program, "-m", model, "-p", tokens, "-n", 0, "-t", threads, "-r", repetitions]
    command += ["--repack", int(repack), "-ngl", 0, "-o", "json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"llama-bench stopped with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return parse_llama_bench(done.stdout, model)


def parse_llama_bench(output: str, model: Path) -> LlamaTiming:
    """llama-bench's JSON of one test. ValueError where it is another."""
    from gguf import GGUFReader

    rows = json.loads(output)
    if len(rows) != 1 or rows[0]["n_gen"] != 0 or not rows[0]["samples_ns"]:
        raise ValueError("llama-bench was not asked for one prompt")
    (row,) = rows
    reader: Any = GGUFReader(model)
    architecture = reader.fields["general.architecture"].contents()
    return LlamaTiming(
        layers=int(reader.fields[f"{architecture}.block_count"].contents()),
        tokens=row["n_prompt"],
        threads=row["n_threads"],
        repack=bool(row["repack"]),
        seconds=tuple(value / 1e9 for value in row["samples_ns"]),
    )


class _Blocks:
    """What GGUFWriter needs of an array, written from a cyclic pool instead of held."""

    def __init__(self, pool: Bytes, count: int, start: int) -> None:
        self.count = count
        self.nbytes = count * pool.shape[1]
        self._pool = pool
        self._start = start % len(pool)

    def tofile(self, target: IO[bytes]) -> None:
        left, at = self.count, self._start
        while left:
            part = self._pool[at : at + left]
            target.write(part.data)
            left, at = left - len(part), 0


def _write_keys(writer: Any, shape: TextShape) -> None:
    writer.add_name("random weights")
    writer.add_context_length(shape.max_position)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("none")
    writer.add_file_type(_FILE_TYPE_Q4_K_M)
    writer.add_quantization_version(2)


def _has_more_bits(index: int, layers: int) -> bool:
    """llama-quantize's `use_more_bits`."""
    return index < layers // 8 or index >= 7 * layers // 8 or (index - layers // 8) % 3 == 2


def _q4_k_blocks(rng: np.random.Generator) -> Bytes:
    """(n, 144): scale and minimum as fp16, 12 bytes of six-bit scales and minimums, 128 bytes of weights."""
    blocks = rng.integers(0, 256, (_POOL_BLOCKS, 144), np.uint8)
    step = _WEIGHT_SCALE / (32 * 4.6)  # a mean scale of 32, weights 0 to 15
    blocks[:, :4] = np.array([step, 7.5 * step], "<f2").view(np.uint8)
    return blocks


def _q6_k_blocks(rng: np.random.Generator) -> Bytes:
    """(n, 210): 192 bytes of weights, 16 scales as int8, their common scale as fp16."""
    blocks = rng.integers(0, 256, (_POOL_BLOCKS, 210), np.uint8)
    blocks[:, 192:208] = blocks[:, 192:208] % 8 + 4
    blocks[:, 208:] = np.array([_WEIGHT_SCALE / (7.5 * 18.5)], "<f2").view(np.uint8)
    return blocks
