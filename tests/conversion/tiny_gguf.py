"""A small GGUF file of architecture `llama`, made by the tests: two layers, Q4_1 and Q8_0 weights, a byte-level BPE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers.pre_tokenizers import ByteLevel

CONTROL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>"),
    *("<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>"),
    *("<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"),
)
HIDDEN, INTER, HEADS, KV_HEADS, LAYERS = 64, 96, 2, 1, 2
MERGES = ("u s", "e r", "us er", "h e", "Ġ he")


def vocabulary() -> list[str]:
    return [*CONTROL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]


def write_tiny_gguf(path: Path, *, architecture: str = "llama", scheme: str = "smollm") -> dict[str, np.ndarray]:
    """Write the file; returns each weight as it was before quantisation, under its GGUF name."""
    rng = np.random.default_rng(5)
    tokens = vocabulary()
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(scheme)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    shapes = {"token_embd.weight": (len(tokens), HIDDEN), "output_norm.weight": (HIDDEN,)}
    kv_width = HIDDEN // HEADS * KV_HEADS
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {f"{block}{norm}.weight": (HIDDEN,) for norm in ("attn_norm", "ffn_norm")}
        shapes |= {f"{block}attn_{kind}.weight": (HIDDEN, HIDDEN) for kind in ("q", "output")}
        shapes |= {f"{block}attn_{kind}.weight": (kv_width, HIDDEN) for kind in ("k", "v")}
        shapes |= {f"{block}ffn_{kind}.weight": (INTER, HIDDEN) for kind in ("gate", "up")}
        shapes |= {f"{block}ffn_down.weight": (HIDDEN, INTER)}
    weights = {name: _weight(shape, rng) for name, shape in shapes.items()}
    for name, weight in weights.items():
        kind = GGMLQuantizationType.Q8_0 if name == "token_embd.weight" else GGMLQuantizationType.Q4_1
        if weight.ndim == 1:
            writer.add_tensor(name, weight)
        else:
            writer.add_tensor(name, quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def _weight(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        return (1 + 0.1 * rng.normal(size=shape)).astype(np.float32)
    return (rng.normal(size=shape) / np.sqrt(shape[1])).astype(np.float32)
