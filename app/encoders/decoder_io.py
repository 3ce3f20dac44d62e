"""Names of what goes into a served decoder graph and comes out of it."""

from __future__ import annotations

FILE = "decoder.onnx"
INPUTS = frozenset({"inputs_embeds", "seqlens_k", "total_sequence_length", "rope_cos", "rope_sin"})
OUTPUT = "hidden_states"


def past_names(layers: int) -> tuple[str, ...]:
    """Inputs of a served decoder that hold the prefix: (1, kv heads, prefix, head dim) each, layer by layer."""
    return tuple(f"past_{part}.{layer}" for layer in range(layers) for part in ("key", "value"))


def present_names(layers: int) -> tuple[str, ...]:
    """Outputs in the same order: (1, kv heads, prefix + sequence, head dim)."""
    return tuple(f"present_{part}.{layer}" for layer in range(layers) for part in ("key", "value"))
