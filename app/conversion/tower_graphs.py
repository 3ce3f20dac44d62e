"""Qwen2.5-Omni's vision and audio towers as graphs without `cu_seqlens`.

transformers packs the valid patches of all windows into one sequence and tells attention where each window ends. Here
the host lays patches (or mel frames) out in padded windows of one size and gives a bias of 0 for a real key and a large
negative number for a padded one, so that window attention is plain batched attention and every shape follows from the
inputs.
"""

from __future__ import annotations

import math

import numpy as np

from app.conversion.graph import CONTRIB, GraphBuilder, LinearRole
from app.conversion.towers import AudioLayout, VisionLayout
from app.domain import FloatArray

VISION_EPS = 1e-6
AUDIO_EPS = 1e-5
MAX_TIMESCALE = 10_000


# --------------------------------------------------------------------------- vision
def build_vision(graph: GraphBuilder, layout: VisionLayout) -> None:
    """pixel_values (frames, windows, slots, patch), cos and sin (windows, slots, head_dim), key_bias (windows, slots)
    -> image_embeds (frames, windows * units, out_hidden_size), in window order.

    A unit is the spatial_merge_size ** 2 patches that the merger makes one embedding of.
    """
    graph.input("pixel_values", ["frames", "windows", layout.slots, layout.patch_width])
    for name in ("cos", "sin"):
        graph.input(name, ["windows", layout.slots, layout.spec.head_dim])
    graph.input("key_bias", ["windows", layout.slots])
    _vision_layout_nodes(graph, layout)
    patches = _reshape(graph, "pixel_values", "patches", [-1, layout.slots, layout.patch_width])
    with graph.section("patch_embed", "patches"):
        x = graph.linear("patch_embed", patches, [f"{layout.prefix}patch_embed.proj.weight"])
    for index in range(layout.depth):
        with graph.section(f"B{index}", f"block {index + 1}/{layout.depth}"):
            x = _vision_block(graph, layout, index, x)
    with graph.section("merger", "merger"):
        _merger(graph, layout, x)
    graph.output("image_embeds", ["frames", "units", layout.spec.out_hidden_size])
    graph.save()


def _vision_layout_nodes(graph: GraphBuilder, layout: VisionLayout) -> None:
    """What every block shares: `frames`, rotary tables and positions, the biases of window and frame attention."""
    slots, half = layout.slots, layout.spec.head_dim // 2
    graph.node("Shape", ["pixel_values"], "frames", start=0, end=1)
    one = graph.constant("one", np.array([1], np.int64))
    for name in ("cos", "sin"):  # both halves of a rotary row are equal: the operator takes the first
        first = [name, _ints(graph, 0), _ints(graph, half), _ints(graph, 2)]
        _reshape(graph, graph.node("Slice", first, f"{name}/half"), f"{name}/table", [-1, half])
    graph.node("Size", ["key_bias"], "frame_slots")
    zero, step = graph.constant("zero", np.array(0, np.int64)), graph.constant("step", np.array(1, np.int64))
    numbers = _reshape(
        graph, graph.node("Range", [zero, "frame_slots", step], "numbers"), "window_numbers", [-1, slots]
    )
    graph.node("Tile", [numbers, graph.node("Concat", ["frames", one], "tile2", axis=0)], "positions")
    keys = _reshape(graph, "key_bias", "window_keys", [-1, 1, 1, slots])
    windows = graph.node("Expand", [keys, _ints(graph, 1, 1, slots, 1)], "window_bias_once")
    tile = graph.node("Concat", ["frames", one, one, one], "tile4", axis=0)
    graph.node("Tile", [windows, tile], "window_bias")
    keys = _reshape(graph, "key_bias", "frame_keys", [1, 1, 1, -1])
    rows = _reshape(graph, "frame_slots", "frame_rows", [1])
    square = graph.node("Concat", [one, one, rows, one], "square", axis=0)
    graph.node("Expand", [keys, square], "frame_bias")


def _vision_block(graph: GraphBuilder, layout: VisionLayout, index: int, x: str) -> str:
    name, source = f"B{index}", f"{layout.prefix}blocks.{index}."
    normed = _rms_norm(graph, f"{name}/norm1", x, f"{source}norm1.weight")
    x = graph.node("Add", [x, _vision_attention(graph, layout, index, normed)], f"{name}/attended_sum")
    normed = _rms_norm(graph, f"{name}/norm2", x, f"{source}norm2.weight")
    gate = _affine(graph, f"{name}.gate", normed, f"{source}mlp.gate_proj")
    gate = graph.node("QuickGelu", [gate], f"{name}/silu", domain=CONTRIB, alpha=1.0)
    up = _affine(graph, f"{name}.up", normed, f"{source}mlp.up_proj")
    gated = graph.node("Mul", [gate, up], f"{name}/gated")
    down = _affine(graph, f"{name}.down", gated, f"{source}mlp.down_proj", LinearRole.MLP_OUT)
    return graph.node("Add", [x, down], f"{name}/sum")


def _vision_attention(graph: GraphBuilder, layout: VisionLayout, index: int, x: str) -> str:
    """Inside each window, or over the whole frame in the blocks that the config lists."""
    name, source, width = f"B{index}", f"{layout.prefix}blocks.{index}.attn.", layout.width
    parts = [_affine(graph, f"{name}.{kind}", x, f"{source}{kind}", LinearRole.ATTENTION_IN) for kind in "qkv"]
    for position, kind in enumerate("qk"):
        parts[position] = graph.node(
            "RotaryEmbedding",
            [parts[position], "positions", "cos/table", "sin/table"],
            f"{name}/{kind}_rotated",
            domain=CONTRIB,
            num_heads=layout.heads,
            interleaved=0,
        )
    bias = "window_bias"
    if index in layout.full_attention:
        bias = "frame_bias"
        shape = graph.node("Concat", ["frames", _ints(graph, -1), _ints(graph, width)], f"{name}/frame_shape", axis=0)
        parts = [graph.node("Reshape", [part, shape], f"{part}/frame") for part in parts]
    attended = _attention(graph, f"{name}/attended", parts, bias, layout.heads)
    if index in layout.full_attention:
        attended = _reshape(graph, attended, f"{name}/attended/windows", [-1, layout.slots, width])
    return _affine(graph, f"{name}.proj", attended, f"{source}proj")


def _merger(graph: GraphBuilder, layout: VisionLayout, x: str) -> None:
    """RMS norm, a unit's patches side by side, two linear layers."""
    source = f"{layout.prefix}merger."
    normed = _rms_norm(graph, "merger/norm", x, f"{source}ln_q.weight")
    shape = [_ints(graph, -1), _ints(graph, layout.merged_width)]
    units = graph.node("Reshape", [normed, graph.node("Concat", ["frames", *shape], "unit_shape", axis=0)], "units")
    hidden = _affine(graph, "merger.0", units, f"{source}mlp.0")
    out = _affine(graph, "merger.2", graph.node("Gelu", [hidden], "merger/gelu"), f"{source}mlp.2")
    graph.node("Identity", [out], "image_embeds")


# --------------------------------------------------------------------------- audio
def build_audio(graph: GraphBuilder, layout: AudioLayout) -> None:
    """input_features (chunks, mels, 2 * n_window), feature_mask (chunks, 1, 2 * n_window), key_bias (chunks, n_window)
    -> audio_embeds (chunks, n_window / 2, out_hidden_size).
    """
    spec = layout.spec
    graph.input("input_features", ["chunks", spec.num_mel_bins, 2 * spec.n_window])
    graph.input("feature_mask", ["chunks", 1, 2 * spec.n_window])
    graph.input("key_bias", ["chunks", spec.n_window])
    keys = _reshape(graph, "key_bias", "chunk_keys", [-1, 1, 1, spec.n_window])
    graph.node("Expand", [keys, _ints(graph, 1, 1, spec.n_window, 1)], "chunk_bias")
    with graph.section("front", "convolutions"):
        x = _audio_front(graph, layout)
    for index in range(layout.depth):
        with graph.section(f"A{index}", f"layer {index + 1}/{layout.depth}"):
            x = _audio_layer(graph, layout, index, x)
    pairs = _reshape(graph, x, "pairs", [-1, spec.n_window // 2, 2, layout.width])
    pooled = graph.node("ReduceMean", [pairs, _ints(graph, 2)], "pooled", keepdims=0)
    with graph.section("proj", "projection"):
        normed = _layer_norm(graph, "ln_post", pooled, f"{layout.prefix}ln_post")
        graph.node("Identity", [_affine(graph, "proj", normed, f"{layout.prefix}proj")], "audio_embeds")
    graph.output("audio_embeds", ["chunks", spec.n_window // 2, spec.out_hidden_size])
    graph.save()


def _audio_front(graph: GraphBuilder, layout: AudioLayout) -> str:
    """Two convolutions, the second halving the length, and the sinusoidal positions of a chunk."""
    x = _convolution(graph, layout, "conv1", "input_features", stride=1)
    x = graph.node("Mul", [x, "feature_mask"], "conv1/masked")
    x = _convolution(graph, layout, "conv2", x, stride=2)
    x = graph.node("Transpose", [x], "frames_first", perm=[0, 2, 1])
    positions = graph.constant("positions", sinusoids(layout.spec.n_window, layout.width))
    return graph.node("Add", [x, positions], "positioned")


def _convolution(graph: GraphBuilder, layout: AudioLayout, name: str, x: str, stride: int) -> str:
    """Kernel 3, padding 1, GELU; kept in float32 at every quantisation."""
    source = f"{layout.prefix}{name}"
    weight = graph.tensor(f"{name}.weight", f"{source}.weight", layout.tensors()[f"{source}.weight"])
    bias = graph.vector(f"{name}.bias", [f"{source}.bias"])
    out = graph.node("Conv", [x, weight, bias], name, kernel_shape=[3], pads=[1, 1], strides=[stride])
    return graph.node("Gelu", [out], f"{name}/gelu")


def _audio_layer(graph: GraphBuilder, layout: AudioLayout, index: int, x: str) -> str:
    name, source = f"A{index}", f"{layout.prefix}layers.{index}."
    normed = _layer_norm(graph, f"{name}/norm1", x, f"{source}self_attn_layer_norm")
    parts = []
    for kind in "qkv":  # keys have no bias
        weight, bias = (f"{source}self_attn.{kind}_proj.{part}" for part in ("weight", "bias"))
        biases = [] if kind == "k" else [bias]
        parts.append(graph.linear(f"{name}.{kind}", normed, [weight], biases, LinearRole.ATTENTION_IN))
    attended = _attention(graph, f"{name}/attended", parts, "chunk_bias", layout.heads)
    out = _affine(graph, f"{name}.o", attended, f"{source}self_attn.out_proj")
    x = graph.node("Add", [x, out], f"{name}/attended_sum")
    normed = _layer_norm(graph, f"{name}/norm2", x, f"{source}final_layer_norm")
    hidden = graph.node("Gelu", [_affine(graph, f"{name}.fc1", normed, f"{source}fc1")], f"{name}/gelu")
    out = _affine(graph, f"{name}.fc2", hidden, f"{source}fc2", LinearRole.MLP_OUT)
    return graph.node("Add", [x, out], f"{name}/sum")


def sinusoids(length: int, channels: int) -> FloatArray:
    """(length, channels) Whisper positions: sines of all frequencies, then cosines; in torch, as transformers does."""
    import torch

    step = math.log(MAX_TIMESCALE) / (channels // 2 - 1)
    frequencies = torch.exp(-step * torch.arange(channels // 2).float())
    angles = torch.arange(length)[:, None] * frequencies[None]
    table: FloatArray = torch.cat([angles.sin(), angles.cos()], dim=1).numpy()
    return table


# --------------------------------------------------------------------------- shared nodes
def _attention(graph: GraphBuilder, name: str, parts: list[str], bias: str, heads: int) -> str:
    """query, key, value (batch, length, width), additive bias (batch or 1, 1, length, length)."""
    inputs = [*parts, "", "", bias]
    return graph.node("MultiHeadAttention", inputs, name, domain=CONTRIB, num_heads=heads)


def _affine(graph: GraphBuilder, name: str, x: str, source: str, role: LinearRole = LinearRole.OTHER) -> str:
    return graph.linear(name, x, [f"{source}.weight"], [f"{source}.bias"], role)


def _rms_norm(graph: GraphBuilder, name: str, x: str, source: str) -> str:
    scale = graph.vector(f"{name}.scale", [source])
    return graph.node("SimplifiedLayerNormalization", [x, scale], name, axis=-1, epsilon=VISION_EPS, stash_type=1)


def _layer_norm(graph: GraphBuilder, name: str, x: str, source: str) -> str:
    scale, bias = (graph.vector(f"{name}.{kind}", [f"{source}.{kind}"]) for kind in ("weight", "bias"))
    return graph.node("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=AUDIO_EPS)


def _reshape(graph: GraphBuilder, x: str, name: str, shape: list[int]) -> str:
    return graph.node("Reshape", [x, _ints(graph, *shape)], name)


def _ints(graph: GraphBuilder, *values: int) -> str:
    """An int64 constant, shared by value."""
    return graph.constant(f"ints_{'_'.join(map(str, values))}", np.array(values, np.int64))
