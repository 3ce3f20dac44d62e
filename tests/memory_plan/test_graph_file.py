"""Weights read from the protobuf alone are what the onnx package reads."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.errors import ArtifactError
from app.memory_plan.graph_file import block_outputs, layer_bytes, read_weights


def external(name: str, shape: tuple[int, ...], offset: int, length: int, dtype: int = TensorProto.INT8) -> TensorProto:
    tensor = TensorProto(name=name, dims=shape, data_type=dtype, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "decoder.onnx.data"), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def save(folder: Path, initializers: list[TensorProto], data_bytes: int) -> Path:
    (folder / "decoder.onnx.data").write_bytes(bytes(data_bytes))
    node = helper.make_node("Identity", ["x"], ["y"])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "decoder", [value], [result], initializers)
    onnx.save(helper.make_model(graph), folder / "decoder.onnx")
    return folder / "decoder.onnx"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    inline = numpy_helper.from_array(np.zeros(30, np.int64), "sizes")
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    weights = [
        external("L0.gate.weight", (8, 32), 0, 256),
        external("L0.gate.scale", (32,), 4096, 128),
        external("L0.down.weight", (8, 1, 32), 8192, 256),
        external("L0.down.scale", (8, 1), 12288, 32),
        external("L1.gate.weight", (64, 8), 16384, 512),
        external("norm.scale", (8,), 20480, 32),
    ]
    return save(tmp_path, [*weights, inline, typed], 20512)


def test_names_shapes_and_bytes(graph: Path) -> None:
    read = {weight.name: (weight.shape, weight.bytes) for weight in read_weights(graph)}
    assert read == {
        "L0.gate.weight": ((8, 32), 256),
        "L0.gate.scale": ((32,), 128),
        "L0.down.weight": ((8, 1, 32), 256),
        "L0.down.scale": ((8, 1), 32),
        "L1.gate.weight": ((64, 8), 512),
        "norm.scale": ((8,), 32),
        "sizes": ((30,), 240),
        "typed": ((3,), 12),
    }


def test_layers_own_what_bears_their_number(graph: Path) -> None:
    assert layer_bytes(read_weights(graph)) == [256 + 128 + 256 + 32, 512]


def test_a_matrix_has_as_many_outputs_as_scales_or_rows(graph: Path) -> None:
    assert block_outputs(read_weights(graph)) == max(32 + 8, 64)


def test_the_embedded_pair_reads_as_onnx_reads_it(embedded_pair: Path) -> None:
    for file in ("omni/decoder.onnx", "omni/vision.onnx", "omni/audio.onnx", "medical/decoder.onnx"):
        model = onnx.load(embedded_pair / file, load_external_data=False)
        expected = {
            tensor.name: (tuple(tensor.dims), math.prod(tensor.dims) * item_bytes(tensor))
            for tensor in model.graph.initializer
        }
        read = {weight.name: (weight.shape, weight.bytes) for weight in read_weights(embedded_pair / file)}
        assert read == expected


def item_bytes(tensor: TensorProto) -> int:
    return helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def test_a_data_file_that_is_cut_short_is_seen(graph: Path) -> None:
    data = graph.with_name("decoder.onnx.data")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="model_file_damaged"):
        read_weights(graph)
    data.unlink()
    with pytest.raises(ArtifactError, match="model_file_missing"):
        read_weights(graph)


def test_a_graph_cut_anywhere_is_refused_or_reads_whole_weights(graph: Path) -> None:
    whole = graph.read_bytes()
    known = set(read_weights(graph))
    for length in range(0, len(whole), 3):
        graph.write_bytes(whole[:length])
        with suppress(ArtifactError):
            assert set(read_weights(graph)) <= known


def test_any_flipped_byte_is_refused_or_read(graph: Path) -> None:
    whole = bytearray(graph.read_bytes())
    for position in range(len(whole)):
        whole[position] ^= 0xFF
        graph.write_bytes(whole)
        whole[position] ^= 0xFF
        with suppress(ArtifactError):
            assert read_weights(graph)
