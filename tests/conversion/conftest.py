"""Tiny checkpoints and what they convert to, each made once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.conversion import ConversionRequest, NoProgress, convert
from app.encoders.manifest import Quantization
from tests.checkpoints import (
    LINEAR_ROPE,
    LLAMA3_ROPE,
    load_reference,
    write_llama,
    write_mistral,
    write_omni,
    write_qwen2,
    write_thinker,
)

RAGGED = {"hidden_size": 144, "intermediate_size": 200, "num_attention_heads": 9, "num_key_value_heads": 3}
"""Widths that are no multiple of a block."""
WRITERS: dict[str, Callable[[Path], Path]] = {
    "llama": write_llama,
    "llama3": lambda folder: write_llama(folder, rope_scaling=LLAMA3_ROPE),
    "linear": lambda folder: write_llama(folder, rope_scaling=LINEAR_ROPE),
    "biased": lambda folder: write_llama(folder, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "ragged": lambda folder: write_llama(folder, **RAGGED),
    "qwen2": write_qwen2,
    "qwen2_sliding": lambda folder: write_qwen2(folder, use_sliding_window=True, sliding_window=8, max_window_layers=2),
    "mistral": write_mistral,
    "mistral_sliding": lambda folder: write_mistral(folder, sliding_window=8, head_dim=16),
    "thinker": write_thinker,
    "omni": write_omni,
}

Convert = Callable[..., Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name -> checkpoint folder; not to be changed, copy it first."""
    root = tmp_path_factory.mktemp("checkpoints")
    return cache(lambda name: WRITERS[name](root / name))


@pytest.fixture(scope="session")
def reference(checkpoint: Callable[[str], Path]) -> Callable[[str], Any]:
    """Name -> the model in transformers."""
    return cache(lambda name: load_reference(checkpoint(name)))


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Convert:
    """(name, quantization, cut layer) -> converted folder; not to be changed."""
    root = tmp_path_factory.mktemp("converted")

    @cache
    def make(name: str, quantization: Quantization = "none", cut_layer: int | None = None) -> Path:
        output = root / f"{name}-{quantization}-{cut_layer}"
        convert(request_for(checkpoint(name), output, quantization=quantization, cut_layer=cut_layer), NoProgress())
        return output

    return make


def request_for(folder: Path, output: Path, **settings: Any) -> ConversionRequest:
    """A request with a source that stands for nothing."""
    defaults: dict[str, Any] = {"quantization": "none", "source": "tests/tiny", "source_revision": "0"}
    return ConversionRequest(checkpoint=folder, output=output, **{**defaults, **settings})
