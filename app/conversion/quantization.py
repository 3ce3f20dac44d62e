"""How a linear layer's weight is stored, and the nodes that multiply by it.

| `quantization` | decoder                                   | towers      |
|----------------|-------------------------------------------|-------------|
| none           | float32                                   | float32     |
| int8           | int8, DynamicQuantizeMatMul               | the same    |
| int4           | int4 blocks, MatMulNBits accuracy level 4 | int8        |
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from onnxruntime.capi._pybind_state import quantize_matmul_4bits

from app.conversion.checkpoint import Matrix
from app.conversion.graph import CONTRIB, GraphBuilder, LinearWriter
from app.domain import FloatArray, UInt8Array
from app.encoders.manifest import Quantization

BLOCK_SIZES = (16, 32, 64, 128, 256)
INT8_LIMIT = 63


def decoder_writer(quantization: Quantization, block_size: int) -> LinearWriter:
    """The writer for a decoder's linear layers."""
    writers: dict[Quantization, LinearWriter] = {
        "none": write_float32,
        "int8": write_int8,
        "int4": partial(write_int4, block_size=block_size),
    }
    return writers[quantization]


def tower_writer(quantization: Quantization) -> LinearWriter:
    """The writer for the vision and audio towers: never below int8, they are small and feed everything else."""
    return write_float32 if quantization == "none" else write_int8


# --------------------------------------------------------------------------- float32
def write_float32(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """Rows are stored as the checkpoint has them; the product transposes."""
    graph.stream(f"{name}.weight", weight.shape, weight.slices())
    product = graph.node("FusedMatMul", [x, f"{name}.weight"], f"{name}/matmul", domain=CONTRIB, transB=1)
    return graph.node("Add", [product, bias], f"{name}/out") if bias else product


# --------------------------------------------------------------------------- int8
def write_int8(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """One scale a row of the weight (output channel), one a row of `x` (token), products in integers.

    DynamicQuantizeMatMul has a single activation scale for its whole input, so one massive activation (the first
    token's, in down_proj) would cost every other token its resolution. Dividing each token by its own largest
    magnitude before, and multiplying after, gives a scale a token for two cheap element-wise passes.

    Weights use 7 bits, as ONNX Runtime advises for x86 without VNNI: there, the AVX2 kernel adds two u8 x s8 products
    into 16 bits with saturation, and 255 * 63 * 2 is the most that fits.
    """
    rows, width = weight.shape
    quantized = np.empty((width, rows), np.int8)
    scales = np.empty(rows, np.float32)
    start = 0
    for part in weight.slices():
        stop = start + len(part)
        quantized[:, start:stop], scales[start:stop] = quantize_rows(part)
        start = stop
    graph.stream(f"{name}.weight", (width, rows), [quantized])
    graph.stream(f"{name}.scale", (rows,), [scales])
    magnitude = token_magnitude(graph, name, x)
    unit = graph.node("Div", [x, magnitude], f"{name}/unit")
    inputs = [unit, f"{name}.weight", f"{name}.scale"]
    product = graph.node("DynamicQuantizeMatMul", inputs, f"{name}/matmul", domain=CONTRIB)
    scaled = graph.node("Mul", [product, magnitude], f"{name}/scaled")
    return graph.node("Add", [scaled, bias], f"{name}/out") if bias else scaled


def quantize_rows(part: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(rows, width) -> transposed (width, rows) int8 and (rows,) scales; symmetric, a row of zeros has scale 1."""
    largest = np.abs(part).max(axis=1)
    scales = np.where(largest > 0, largest / INT8_LIMIT, 1).astype(np.float32)
    return np.rint(part / scales[:, None]).astype(np.int8).T, scales


def token_magnitude(graph: GraphBuilder, name: str, x: str) -> str:
    """(..., 1) largest magnitude of each token, never 0."""
    last_axis = graph.constant("last_axis", np.array([-1], np.int64))
    smallest = graph.constant("smallest", np.array(1e-12, np.float32))
    absolute = graph.node("Abs", [x], f"{name}/abs")
    largest = graph.node("ReduceMax", [absolute, last_axis], f"{name}/largest", keepdims=1)
    return graph.node("Max", [largest, smallest], f"{name}/magnitude")


# --------------------------------------------------------------------------- int4
def write_int4(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str, *, block_size: int) -> str:
    """Symmetric 4-bit blocks along the input width; accuracy level 4 multiplies in int8.

    A width that is no multiple of the block is padded with zeros inside the last block; the kernel knows the width.
    """
    rows, width = weight.shape
    blocks = -(-width // block_size)
    scales: list[FloatArray] = []

    def quantized() -> Iterator[UInt8Array]:
        for part in weight.slices():
            packed, scale = quantize_blocks(part, block_size)
            scales.append(scale)
            yield packed

    graph.stream(f"{name}.weight", (rows, blocks, block_size // 2), quantized())
    graph.stream(f"{name}.scale", (rows, blocks), scales)
    inputs = [x, f"{name}.weight", f"{name}.scale", *(["", "", bias] if bias else [])]
    layout = {"K": width, "N": rows, "bits": 4, "block_size": block_size, "accuracy_level": 4}
    return graph.node("MatMulNBits", inputs, f"{name}/matmul", domain=CONTRIB, **layout)


def quantize_blocks(part: FloatArray, block_size: int) -> tuple[UInt8Array, FloatArray]:
    """(rows, width) -> (rows, blocks, block_size / 2) packed nibbles and (rows, blocks) scales, by ORT's own kernel."""
    rows, width = part.shape
    blocks = -(-width // block_size)
    packed = np.zeros((rows, blocks, block_size // 2), np.uint8)
    scales = np.zeros(rows * blocks, np.float32)
    zero_points = np.zeros(rows * ((blocks + 1) // 2), np.uint8)
    transposed = np.ascontiguousarray(part.T)
    quantize_matmul_4bits(packed, transposed, scales, zero_points, block_size, rows, width, True)
    return packed, scales.reshape(rows, blocks)
