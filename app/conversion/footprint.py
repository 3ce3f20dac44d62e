"""What a conversion's result takes: bytes on disk, and bytes in memory once it is served. Arithmetic on shapes only."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace

from app.conversion.architecture import DecoderLayout
from app.conversion.graph import LinearRole
from app.conversion.plan import Plan
from app.conversion.quantization import weight_bytes
from app.conversion.staging import Staging
from app.encoders.manifest import Quantization, a_third
from app.errors import ArtifactError

SLACK_BYTES = 64 << 20
"""For what an estimate of a folder's size leaves out: settings, tokenizer, convolutions, alignment."""
TOKENS = 512
"""The longest sequence that is served."""
TOKEN_BYTES = 46
"""Activations of one token for every unit of hidden and intermediate width: 0.85 MB at 4096 and 14336, measured."""
CASTS = 2
"""float32 copies of the largest float16 weight that are there at once while a layer runs."""
_GIB, _MIB = 2**30, 2**20


def stored_bytes(plan: Plan) -> float:
    """An upper estimate of the folder's size."""
    spec = plan.decoder.spec
    embedding = spec.vocab_size * spec.hidden_size * (4 if plan.request.quantization == "none" else 2)
    return SLACK_BYTES + embedding + _weights(plan, plan.request.quantization, spec.cut_layer)


def resident_bytes(plan: Plan) -> int:
    """What the result keeps in memory when it is served with sequences of TOKENS tokens: weights in the kernels' order,
    which take what they take on disk, and activations. Rows of the token embedding are read from disk as needed.
    """
    return _resident(plan, plan.request.quantization, plan.decoder.spec.cut_layer)


def check_space(plan: Plan) -> None:
    """Against the disk's free space and what an interrupted run left. ArtifactError `disk_full` with both in MiB."""
    needed = stored_bytes(plan)
    parent = next(folder for folder in plan.request.output.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(parent).free + Staging.of(plan.request.output).bytes
    if free < needed:
        raise ArtifactError("disk_full", needed_mib=math.ceil(needed / _MIB), free_mib=free >> 20)


def check_memory(plan: Plan) -> None:
    """ArtifactError `conversion_memory` with figures and advice where the result needs more than is allowed."""
    allowed, quantization, layers = plan.request.max_memory, plan.request.quantization, plan.decoder.spec.cut_layer
    needed = resident_bytes(plan)
    if allowed is None or needed <= allowed:
        return
    raise ArtifactError(
        "conversion_memory",
        reason=f"{quantization} at {layers} layers needs {_size(needed)}, {_size(allowed)} allowed: "
        f"{_advice(plan, allowed)}",
    )


def _advice(plan: Plan, allowed: int) -> str:
    """int8 or else int4 at a third of the depth, or else as deep as int4 can be."""
    third = a_third(plan.decoder.spec.layers)
    choices: list[tuple[Quantization, int]] = [("int8", third), *(("int4", layers) for layers in range(third, 0, -1))]
    for quantization, layers in choices:
        needed = _resident(plan, quantization, layers)
        if needed <= allowed:
            return f"use --quantization {quantization} --cut-layer {layers} ({_size(needed)})"
    return f"not even int4 cut at layer 1 does ({_size(_resident(plan, 'int4', 1))})"


def _resident(plan: Plan, quantization: Quantization, layers: int) -> int:
    spec = plan.decoder.spec
    activations = TOKENS * TOKEN_BYTES * (spec.hidden_size + spec.intermediate_size)
    casts = CASTS * 4 * spec.hidden_size * spec.intermediate_size if quantization == "fp16" else 0
    return math.ceil(_weights(plan, quantization, layers) + activations + casts)


def _weights(plan: Plan, quantization: Quantization, layers: int) -> float:
    """Bytes of the cut decoder and of the towers, which are never below int8."""
    rates = weight_bytes(quantization, plan.request.block_size)
    spec = plan.decoder.spec.model_copy(update={"cut_layer": layers})
    decoder = _stored(replace(plan.decoder, spec=spec), rates)
    tower = max(weight_bytes("int8" if quantization == "int4" else quantization, plan.request.block_size).values())
    towers = [math.prod(shape) for part in (plan.vision, plan.audio) if part for shape in part.tensors().values()]
    return decoder + tower * sum(towers)


def _stored(layout: DecoderLayout, rates: Mapping[LinearRole, float]) -> float:
    """Matrices at their role's rate, vectors in float32; scales of rows are left out."""
    shapes = {name: shape for name, shape in layout.tensors().items() if name != layout.embedding}
    return sum(math.prod(shape) * (rates[_role(name)] if len(shape) > 1 else 4) for name, shape in shapes.items())


def _role(tensor: str) -> LinearRole:
    if tensor.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
        return LinearRole.ATTENTION_IN
    return LinearRole.MLP_OUT if tensor.endswith("down_proj.weight") else LinearRole.OTHER


def _size(amount: int) -> str:
    return f"{amount / _GIB:.1f} GiB" if amount >= _GIB else f"{amount / _MIB:.1f} MiB"
