"""Random checkpoints of the full pair's shapes, laid out as the published ones are. Their answers mean nothing.

Names and shapes of the tensors are transformers' own: it builds the model without memory for the weights. The values,
about N(0, 0.02) in bfloat16 with norms of 1, are read from one random pool at ever new offsets, so that no two layers
are equal and the speed is the disk's.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.evaluation.full_size_shapes import OmniShape, TextShape, llama_config, omni_config
from app.evaluation.full_size_tokenizer import write_llama_tokenizer, write_omni_tokenizer

Slot = Literal["omni", "medical"]
SOURCES: dict[Slot, str] = {"omni": "random/Qwen2.5-Omni-7B", "medical": "random/Llama-3-8B"}
_POOL = 8_388_617
"""A prime, so that no tensor's size is a multiple of it."""
_STANDARD_DEVIATION = 0.02
_ITEM_BYTES = 2
_SHARD_BYTES = 5_000_000_000
_PREPROCESSOR = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "max_pixels": 12_845_056,
    "merge_size": 2,
    "min_pixels": 3136,
    "n_fft": 400,
    "patch_size": 14,
    "processor_class": "Qwen2_5OmniProcessor",
    "sampling_rate": 16_000,
    "temporal_patch_size": 2,
}
Shapes = dict[str, tuple[int, ...]]
Words = npt.NDArray[np.uint16]


def write_omni_checkpoint(folder: Path, shape: OmniShape, seed: int = 0, shard_bytes: int = _SHARD_BYTES) -> None:
    """`Qwen2_5OmniModel` with the thinker alone. The folder appears only when it is whole."""
    with _staged(folder) as partial:
        config = omni_config(shape, write_omni_tokenizer(partial, shape.text.text_tokens))
        _write_json(partial / "config.json", config)
        _write_json(partial / "preprocessor_config.json", _PREPROCESSOR)
        _write_shards(partial, _omni_tensors(config["thinker_config"]), seed, shard_bytes)


def write_llama_checkpoint(folder: Path, shape: TextShape, seed: int = 1, shard_bytes: int = _SHARD_BYTES) -> None:
    """`LlamaForCausalLM`. The folder appears only when it is whole."""
    with _staged(folder) as partial:
        config = llama_config(shape, write_llama_tokenizer(partial, shape.text_tokens))
        _write_json(partial / "config.json", config)
        _write_shards(partial, _llama_tensors(config), seed, shard_bytes)


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(folder)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _omni_tensors(thinker: dict[str, Any]) -> Shapes:
    import transformers

    hub: Any = transformers  # its config classes are untyped
    shapes = _meta_shapes(hub.Qwen2_5OmniThinkerForConditionalGeneration, hub.Qwen2_5OmniThinkerConfig(**thinker))
    return {f"thinker.{name}": shape for name, shape in shapes.items()}


def _llama_tensors(config: dict[str, Any]) -> Shapes:
    import transformers

    hub: Any = transformers
    return _meta_shapes(hub.LlamaForCausalLM, hub.LlamaConfig(**config))


def _meta_shapes(model: Any, config: Any) -> Shapes:
    import torch

    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in model(config).state_dict().items()}


def _write_shards(folder: Path, shapes: Shapes, seed: int, shard_bytes: int) -> None:
    """model-0000N-of-0000M.safetensors and their index."""
    pool = _Pool(seed)
    groups = list(_grouped(shapes, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        name = f"model-{number:05}-of-{len(groups):05}.safetensors"
        weight_map |= dict.fromkeys(group, name)
        with (folder / name).open("wb") as handle:
            handle.write(_header(group))
            for tensor, shape in group.items():
                if len(shape) == 1 and tensor.endswith(".weight"):  # a norm
                    handle.write(np.full(shape, 0x3F80, "<u2").data)
                    continue
                for part in pool.take(math.prod(shape)):
                    handle.write(part.data)
    total = sum(map(_size, shapes.values()))
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)


def _grouped(shapes: Shapes, limit: int) -> Iterator[Shapes]:
    group: Shapes = {}
    for name, shape in shapes.items():
        if group and sum(map(_size, group.values())) + _size(shape) > limit:
            yield group
            group = {}
        group[name] = shape
    yield group


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _ITEM_BYTES


def _header(group: Shapes) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in group.items():
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + _size(shape)]}
        offset += _size(shape)
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


class _Pool:
    """A cyclic tape of random bfloat16 values, as their 16-bit words."""

    def __init__(self, seed: int) -> None:
        numbers = np.random.default_rng(seed).standard_normal(_POOL, np.float32) * _STANDARD_DEVIATION
        self._words: Words = ((numbers.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)
        self._at = 0

    def take(self, count: int) -> Iterator[Words]:
        """The next `count` values, in parts."""
        while count:
            part = self._words[self._at : self._at + count]
            yield part
            count -= len(part)
            self._at = (self._at + len(part)) % _POOL
