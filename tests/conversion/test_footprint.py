"""What a result takes in memory, and what is said where it is not allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from app.conversion import NoProgress, convert
from app.conversion.architecture import DecoderLayout
from app.conversion.footprint import TOKEN_BYTES, TOKENS, check_memory, resident_bytes
from app.conversion.plan import Plan, make_plan
from app.encoders.manifest import DecoderSpec
from app.errors import ArtifactError
from tests.conversion.conftest import request_for

GIB = 1 << 30
LLAMA_3_8B = DecoderSpec(
    hidden_size=4096,
    intermediate_size=14336,
    layers=32,
    cut_layer=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab_size=128256,
    rms_norm_eps=1e-5,
    rope_theta=5e5,
    rope_inv_freq=(1.0,) * 64,
    max_position=8192,
)


def plan_8b(quantization: str, layers: int, max_memory: int | None = None) -> Plan:
    """A plan whose checkpoint is not there: no weight is needed."""
    layout = DecoderLayout(
        spec=LLAMA_3_8B.model_copy(update={"cut_layer": layers}),
        prefix="model.",
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        sliding_layers=frozenset(),
    )
    request = request_for(Path("a"), Path("b"), quantization=quantization, max_memory=max_memory)
    return Plan(request, cast(Any, None), "LlamaForCausalLM", layout, None, None, None, None, None)


@pytest.mark.parametrize(
    ("quantization", "layers", "low", "high"),
    [("int8", 11, 2.4, 2.8), ("int4", 18, 2.3, 2.7), ("int8", 32, 6.8, 7.4), ("fp16", 32, 13.2, 14.2)],
)
def test_eight_billion_parameters(quantization, layers, low, high):
    """2.6 GiB for int8 at 11 layers and 2.2 + activations for int4 at 18 were measured."""
    assert low <= resident_bytes(plan_8b(quantization, layers)) / GIB <= high


def test_refusal_names_figures_and_a_way_out():
    with pytest.raises(ArtifactError, match="conversion_memory") as caught:
        check_memory(plan_8b("fp16", 32, 6 * GIB))
    assert caught.value.params["reason"] == (
        "fp16 at 32 layers needs 13.8 GiB, 6.0 GiB allowed: use --quantization int8 --cut-layer 11 (2.7 GiB)"
    )
    with pytest.raises(ArtifactError, match=r"use --quantization int4 --cut-layer 11 \(1\.7 GiB\)"):
        check_memory(plan_8b("int8", 32, 2 * GIB))
    with pytest.raises(ArtifactError, match=r"use --quantization int4 --cut-layer 4 \("):
        check_memory(plan_8b("int4", 32, 9 * GIB // 10))
    with pytest.raises(ArtifactError, match="not even int4 cut at layer 1"):
        check_memory(plan_8b("int4", 32, GIB // 4))


def test_the_advice_is_taken():
    check_memory(plan_8b("int8", 11, 6 * GIB))
    check_memory(plan_8b("fp16", 32, None))


@pytest.mark.parametrize("quantization", ["none", "fp16", "int8", "int4"])
@pytest.mark.parametrize("name", ["llama", "omni"])
def test_weights_are_counted_as_they_are_stored(name, quantization, checkpoint, converted):
    folder = converted(name, quantization)
    plan = make_plan(request_for(checkpoint(name), folder, quantization=quantization), lambda _: None)
    spec = plan.decoder.spec
    activations = TOKENS * TOKEN_BYTES * (spec.hidden_size + spec.intermediate_size)
    casts = 8 * spec.hidden_size * spec.intermediate_size if quantization == "fp16" else 0
    weights = resident_bytes(plan) - activations - casts
    stored = sum(path.stat().st_size for path in folder.glob("*.onnx.data"))
    pages = 4096 * 400  # a tensor begins on a page
    assert weights - 0.15 * stored <= stored <= 1.15 * weights + pages


def test_nothing_is_written(tmp_path, checkpoint):
    with pytest.raises(ArtifactError, match="conversion_memory"):
        convert(request_for(checkpoint("llama"), tmp_path / "deep" / "out", max_memory=1 << 20), NoProgress())
    assert list(tmp_path.iterdir()) == []
