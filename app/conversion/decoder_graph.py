"""The decoder of the Llama, Qwen2, Mistral and Qwen2.5-Omni classes as a graph of ONNX Runtime's own operators.

All four share one block: RMS norm, grouped-query attention with rotary positions, RMS norm, SwiGLU. Rotary cos and sin
are inputs: TMRoPE, scaled and plain positions are the host's business. The fused rotary of GroupQueryAttention reads
the tables in sequence order, which is right at batch 1 only, and batch 1 is all that is offered.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from app.conversion.architecture import DecoderLayout
from app.conversion.graph import CONTRIB, GraphBuilder, LinearRole


def build_decoder(graph: GraphBuilder, layout: DecoderLayout) -> None:
    """Add the whole decoder; `hidden_states` equals transformers' `hidden_states[cut_layer]`.

    That is the residual stream, without the final norm, except when the cut is the last layer: there transformers has
    applied the norm.
    """
    spec = layout.spec
    graph.input("inputs_embeds", [1, "seq", spec.hidden_size])
    graph.input("seqlens_k", [1], TensorProto.INT32)
    graph.input("total_sequence_length", [1], TensorProto.INT32)
    graph.input("rope_cos", ["rope_rows", spec.head_dim // 2])
    graph.input("rope_sin", ["rope_rows", spec.head_dim // 2])
    residual, update = "inputs_embeds", ""
    for index in range(spec.cut_layer):
        with graph.section(f"L{index}", f"layer {index + 1}/{spec.cut_layer}"):
            residual, update = _layer(graph, layout, index, residual, update)
    if spec.cut_layer == spec.layers:
        with graph.section("norm", "norm"):
            scale = graph.vector("norm.scale", [f"{layout.prefix}norm.weight"])
        _skip_norm(graph, "hidden_states", [residual, update, scale], spec.rms_norm_eps)
    else:
        graph.node("Add", [residual, update], "hidden_states")
    graph.output("hidden_states", [1, "seq", spec.hidden_size])
    graph.save()


def _layer(graph: GraphBuilder, layout: DecoderLayout, index: int, residual: str, update: str) -> tuple[str, str]:
    """One block; takes and returns the residual stream and the update not yet added to it."""
    name, source, eps = f"L{index}", layout.layer(index), layout.spec.rms_norm_eps
    scale = graph.vector(f"{name}.norm1", [f"{source}input_layernorm.weight"])
    if update:
        normed = _skip_norm(graph, f"{name}/norm1", [residual, update, scale], eps)
        residual = f"{normed}/sum"
    else:
        normed = graph.node(
            "SimplifiedLayerNormalization", [residual, scale], f"{name}/norm1", axis=-1, epsilon=eps, stash_type=1
        )
    update = _attention(graph, layout, index, normed)
    scale = graph.vector(f"{name}.norm2", [f"{source}post_attention_layernorm.weight"])
    normed = _skip_norm(graph, f"{name}/norm2", [residual, update, scale], eps)
    return f"{normed}/sum", _mlp(graph, layout, index, normed)


def _attention(graph: GraphBuilder, layout: DecoderLayout, index: int, x: str) -> str:
    spec, name, source = layout.spec, f"L{index}", f"{layout.layer(index)}self_attn."
    projections = [f"{source}{kind}_proj" for kind in "qkv"]
    biases = [f"{projection}.bias" for projection in projections] if layout.qkv_bias else []
    weights = [f"{projection}.weight" for projection in projections]
    qkv = graph.linear(f"{name}.qkv", x, weights, biases, LinearRole.ATTENTION_IN)
    window = spec.sliding_window if index in layout.sliding_layers else None
    attended = graph.node(
        "GroupQueryAttention",
        [qkv, "", "", "", "", "seqlens_k", "total_sequence_length", "rope_cos", "rope_sin"],
        f"{name}/attention",
        domain=CONTRIB,
        outputs=[f"{name}/attended", f"{name}/key", f"{name}/value"],
        num_heads=spec.heads,
        kv_num_heads=spec.kv_heads,
        do_rotary=1,
        rotary_interleaved=0,
        scale=spec.head_dim**-0.5,
        local_window_size=-1 if window is None else window,
    )
    bias = [f"{source}o_proj.bias"] if layout.output_bias else []
    return graph.linear(f"{name}.o", attended, [f"{source}o_proj.weight"], bias)


def _mlp(graph: GraphBuilder, layout: DecoderLayout, index: int, x: str) -> str:
    """SwiGLU; QuickGelu with alpha 1 is SiLU in one node."""
    name, source = f"L{index}", f"{layout.layer(index)}mlp."

    def linear(kind: str, value: str, role: LinearRole = LinearRole.OTHER) -> str:
        bias = [f"{source}{kind}_proj.bias"] if layout.mlp_bias else []
        return graph.linear(f"{name}.{kind}", value, [f"{source}{kind}_proj.weight"], bias, role)

    gate = graph.node("QuickGelu", [linear("gate", x)], f"{name}/silu", domain=CONTRIB, alpha=1.0)
    return linear("down", graph.node("Mul", [gate, linear("up", x)], f"{name}/gated"), LinearRole.MLP_OUT)


def _skip_norm(graph: GraphBuilder, name: str, inputs: Sequence[str], eps: float) -> str:
    """RMS norm of residual + update, given residual, update and scale; the sum itself is `<name>/sum`."""
    outputs = [name, "", "", f"{name}/sum"]
    return graph.node("SkipSimplifiedLayerNormalization", inputs, name, domain=CONTRIB, outputs=outputs, epsilon=eps)
