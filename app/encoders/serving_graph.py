"""The decoder graph that is served, made from the converted one by editing its protobuf only; the weights stay where
they are.

Two edits. The graph is cut after its first K layers, so that a folder converted deeper serves any K without being
converted again. And every attention gets the keys and values of the tokens before the sequence as inputs and gives
those of the whole as outputs (`decoder_io`): the constant part of a prompt is run once and reused for every case.
"""

from __future__ import annotations

import re
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from app.encoders.decoder_io import OUTPUT, past_names, present_names
from app.encoders.manifest import DecoderSpec
from app.errors import ArtifactError

_LAYER = re.compile(r"L(\d+)[./]")
_PAST_INPUTS = (3, 4)
"""Positions of past key and value among GroupQueryAttention's inputs; present key and value are outputs 1 and 2."""


def load_graph(path: Path) -> ModelProto:
    """The protobuf without its external data. ArtifactError where it is missing or not a model."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, which has no type stubs, among others
        raise ArtifactError("model_graph_invalid", file=str(path), reason=type(error).__name__) from error
    if not model.graph.node:
        raise ArtifactError("model_graph_invalid", file=str(path), reason="it is empty")
    return model


def serving_decoder(path: Path, spec: DecoderSpec) -> ModelProto:
    """`decoder.onnx` of a converted folder, cut to `spec.cut_layer` layers, with past and present.

    ArtifactError where the file is no decoder of this project or holds fewer layers.
    """
    model = load_graph(path)
    graph = model.graph
    held = len([node for node in graph.node if node.op_type == "GroupQueryAttention"])
    if held < spec.cut_layer:
        raise ArtifactError("model_graph_mismatch", file=str(path), reason=f"{held} layers, {spec.cut_layer} asked for")
    if held > spec.cut_layer:
        _cut(graph, spec.cut_layer, path)
    _add_past(graph, spec, path)
    return model


def _cut(graph: GraphProto, layers: int, path: Path) -> None:
    """Keep the first `layers` layers; the output is the residual stream that the next layer would have read."""
    following = [node for node in graph.node if node.name == f"L{layers}/norm1"]
    if len(following) != 1 or following[0].op_type != "SkipSimplifiedLayerNormalization":
        raise ArtifactError("model_graph_mismatch", file=str(path), reason=f"no layer {layers} to cut at")
    residual, update = following[0].input[:2]
    kept = [node for node in graph.node if (number := _layer(node.name)) is not None and number < layers]
    kept.append(helper.make_node("Add", [residual, update], [OUTPUT], name=OUTPUT))
    used = {name for node in kept for name in node.input}
    _replace(graph.node, kept)
    _replace(graph.initializer, [one for one in graph.initializer if one.name in used])


def _add_past(graph: GraphProto, spec: DecoderSpec, path: Path) -> None:
    attentions = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    past, present = past_names(spec.cut_layer), present_names(spec.cut_layer)
    for layer, node in enumerate(attentions):
        if _layer(node.name) != layer or len(node.output) != 1 + len(_PAST_INPUTS):
            raise ArtifactError("model_graph_mismatch", file=str(path), reason=f"attention of layer {layer}")
        for part, position in enumerate(_PAST_INPUTS):
            node.input[position] = past[2 * layer + part]
            node.output[1 + part] = present[2 * layer + part]
    for names, values, length in ((past, graph.input, "past"), (present, graph.output, "total")):
        shape: list[str | int | None] = [1, spec.kv_heads, length, spec.head_dim]
        values.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names)


def _layer(name: str) -> int | None:
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def _replace(field: object, items: list[NodeProto] | list[TensorProto]) -> None:
    copies = list(items)
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]
