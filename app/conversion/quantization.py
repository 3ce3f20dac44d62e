"""How a linear layer's weight is stored, and the nodes that multiply by it.

| `quantization` | queries, keys, values | MLP output  | everything else | towers  |
|----------------|-----------------------|-------------|-----------------|---------|
| none           | float32               | float32     | float32         | float32 |
| fp16           | float16               | float16     | float16         | float16 |
| int8           | int8 blocks           | see below   | int8 rows       | int8    |
| int4           | int8 blocks           | int4 blocks | int4 blocks     | int8    |

*float16* is how weights are stored; products are in float32 (see `write_float16`).
*int8 rows* is ONNX Runtime's fastest kernel (DynamicQuantizeMatMul), *blocks* are MatMulNBits at accuracy level 4.
Chosen by measurement: mean-pooled cosine to float32 on SmolLM2-135M at layer 8 (the worst of five texts, first token
left out), one thread, 64 tokens:

| scheme                                         | cosine | ms   |
|------------------------------------------------|--------|------|
| float32                                        |        | 22.8 |
| rows, one activation scale for the whole input | 0.9802 |      |
| rows, one activation scale a token             | 0.9969 | 9.8  |
| blocks of 128                                  | 0.9991 | 17.7 |
| **int8 as above** (blocks of 32)               | 0.9995 | 11.9 |
| int4 blocks of 128 everywhere                  | 0.9715 |      |
| **int4 as above**                              | 0.9833 |      |

The MLP output of int8 is *blocks* where it is narrow and 8 groups of *rows*, each with its own scales, where it is wide
(from 2,048 on; the full pair's are 14,336 and 18,944, its towers' 3,420 and 5,120). The first 11 layers of SmolLM2,
mean (worst) cosine of eight texts, and two layers of Llama-3-8B's width, 100 tokens, 2 threads, in one run:

| MLP output                   | cosine          | ms  |
|------------------------------|-----------------|-----|
| blocks of 32                 | 0.9998 (0.9993) | 111 |
| **8 groups of rows**         | 0.9995 (0.9984) |  86 |
| rows                         | 0.9986 (0.9949) |  68 |
| (int4 as above, block 128)   | 0.9901 (0.9664) | 113 |

Tiny random checkpoints fall to 0.945 with int4 everywhere. Queries, keys and values are 7 % (Qwen2.5-Omni-7B) and 11 %
(Llama-3-8B) of a layer's weights, so that keeping them in int8 costs 0.57 and 0.59 bytes a weight instead of 0.53.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits

from app.conversion.checkpoint import Matrix, invalid
from app.conversion.graph import CONTRIB, GraphBuilder, LinearRole, LinearWriter, Scheme
from app.domain import FloatArray, UInt8Array
from app.encoders.manifest import Quantization

BLOCK_SIZES = (16, 32, 64, 128, 256)
INT8_BLOCK_SIZE = 32
INT8_LIMIT = 63
GROUPS = (8, 4)
"""As many as divide the width."""
WIDE = 2048
FloatType = type[np.float16] | type[np.float32]


def decoder_scheme(quantization: Quantization, block_size: int) -> Scheme:
    """Which writer stores which of a decoder's linear layers."""
    if quantization in _FLOAT_WRITERS:
        return _scheme(_FLOAT_WRITERS[quantization])
    if quantization == "int8":
        return _int8_scheme()
    int4, int8 = (partial(write_blocks, bits=bits, block_size=block_size) for bits in (4, 8))
    return _scheme(int4, attention_in=int8)


def tower_scheme(quantization: Quantization) -> Scheme:
    """The same for the vision and audio towers: never below int8, they are small and feed everything else."""
    return _scheme(_FLOAT_WRITERS[quantization]) if quantization in _FLOAT_WRITERS else _int8_scheme()


def weight_bytes(quantization: Quantization, block_size: int) -> dict[LinearRole, float]:
    """Bytes that one weight takes in a decoder of this scheme, scales of blocks included (float32)."""
    if quantization in _FLOAT_BYTES:
        return dict.fromkeys(LinearRole, _FLOAT_BYTES[quantization])
    block = 4 / (INT8_BLOCK_SIZE if quantization == "int8" else block_size)
    if quantization == "int8":
        return {LinearRole.ATTENTION_IN: 1 + block, LinearRole.MLP_OUT: 1 + block, LinearRole.OTHER: 1}
    return {LinearRole.ATTENTION_IN: 1 + block, LinearRole.MLP_OUT: 0.5 + block, LinearRole.OTHER: 0.5 + block}


def _int8_scheme() -> Scheme:
    blocks = partial(write_blocks, bits=8, block_size=INT8_BLOCK_SIZE)
    return _scheme(write_rows, attention_in=blocks, mlp_out=write_mlp_out)


def write_mlp_out(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """Groups of rows from WIDE on, blocks below: narrow groups take longer than blocks do."""
    _, width = weight.shape
    if width >= WIDE and width % GROUPS[-1] == 0:
        return write_row_groups(graph, name, x, weight, bias)
    return write_blocks(graph, name, x, weight, bias, bits=8, block_size=INT8_BLOCK_SIZE)


def _scheme(
    other: LinearWriter, attention_in: LinearWriter | None = None, mlp_out: LinearWriter | None = None
) -> Scheme:
    return {
        LinearRole.ATTENTION_IN: attention_in or other,
        LinearRole.MLP_OUT: mlp_out or other,
        LinearRole.OTHER: other,
    }


# --------------------------------------------------------------------------- float32 and float16
def write_float32(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """Rows are stored as the checkpoint has them; the product transposes."""
    graph.stream(f"{name}.weight", weight.shape, weight.slices())
    product = graph.node("FusedMatMul", [x, f"{name}.weight"], f"{name}/matmul", domain=CONTRIB, transB=1)
    return graph.node("Add", [product, bias], f"{name}/out") if bias else product


def write_float16(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """Stored in float16; made float32 at every run, one weight after the other, for the same product as above.

    ONNX Runtime would make the float32 copy of a constant once, at load, and keep twice the file's size on the heap
    (also with its constant folding switched off: another of its passes folds as well). So the weight goes through a
    Reshape to its own shape whose target, [0, 0] = as it is, is computed from `x`: nothing is copied or folded, and no
    copy is made before `x` is there.
    """
    graph.stream(f"{name}.weight", weight.shape, (as_float(weight, part, np.float16) for part in weight.slices()))
    nothing = graph.constant("same_shape", np.zeros(2, np.int64))
    shape = graph.node("Mul", [graph.node("Size", [x], f"{name}/size"), nothing], f"{name}/shape")
    late = graph.node("Reshape", [f"{name}.weight", shape], f"{name}/late")
    exact = graph.node("Cast", [late], f"{name}/float32", to=TensorProto.FLOAT)
    product = graph.node("FusedMatMul", [x, exact], f"{name}/matmul", domain=CONTRIB, transB=1)
    return graph.node("Add", [product, bias], f"{name}/out") if bias else product


def as_float(weight: Matrix, part: FloatArray, dtype: FloatType) -> npt.NDArray[np.floating]:
    """`part` of `weight` as `dtype`. ArtifactError where a value is too large for it."""
    if np.abs(part).max() > np.finfo(dtype).max:
        names = " or ".join(weight.names)
        raise invalid(weight.checkpoint.folder, f"a value of {names} does not fit into {np.dtype(dtype).name}")
    return part.astype(dtype)


_FLOAT_WRITERS: dict[Quantization, LinearWriter] = {"none": write_float32, "fp16": write_float16}
_FLOAT_BYTES: dict[Quantization, float] = {"none": 4, "fp16": 2}


# --------------------------------------------------------------------------- int8 rows
def write_rows(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """One scale a row of the weight (output channel), one a row of `x` (token), products in integers.

    DynamicQuantizeMatMul has a single activation scale for its whole input, so one massive activation (the first
    token's) would cost every other token its resolution. Dividing each token by its own largest
    magnitude before, and multiplying after, gives a scale a token for two cheap element-wise passes.

    Weights use 7 bits, as ONNX Runtime advises for x86 without VNNI: there, the AVX2 kernel adds two u8 x s8 products
    into 16 bits with saturation, and 255 * 63 * 2 is the most that fits.
    """
    product = _row_product(graph, name, x, _Rows(weight, 1), 0)
    return graph.node("Add", [product, bias], f"{name}/out") if bias else product


def write_row_groups(graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
    """The same in groups of input channels, each with scales of its own: an outlier channel costs its own group its
    resolution only. Blocks of 32 do that better and take two to three times as long."""
    _, width = weight.shape
    count = next(count for count in GROUPS if width % count == 0)
    rows = _Rows(weight, count)
    parts = [f"{name}/part{number}" for number in range(count)]
    graph.node("Split", [x], f"{name}/split", outputs=parts, axis=-1, num_outputs=count)
    products = [_row_product(graph, f"{name}.group{number}", part, rows, number) for number, part in enumerate(parts)]
    return graph.node("Sum", [*products, *([bias] if bias else [])], f"{name}/out")


class _Rows:
    """A weight as int8 rows in equal groups of columns, a scale a row and group; read once, at the first write."""

    def __init__(self, weight: Matrix, groups: int) -> None:
        self._weight = weight
        self.rows, width = weight.shape
        self.step = width // groups
        self._groups = groups

    def values(self, group: int) -> Iterator[npt.NDArray[np.int8]]:
        """(step, rows): the weight's rows become columns."""
        yield self._quantized[0][group]

    def scales(self, group: int) -> Iterator[FloatArray]:
        """(rows,)"""
        yield self._quantized[1][group]

    @cached_property
    def _quantized(self) -> tuple[npt.NDArray[np.int8], FloatArray]:
        """(groups, step, rows) and (groups, rows): the whole weight at once."""
        values = np.empty((self._groups, self.step, self.rows), np.int8)
        scales = np.empty((self._groups, self.rows), np.float32)
        start = 0
        for part in self._weight.slices():
            stop = start + len(part)
            for group, columns in enumerate(np.split(part, self._groups, axis=1)):
                values[group, :, start:stop], scales[group, start:stop] = quantize_rows(columns)
            start = stop
        return values, scales


def _row_product(graph: GraphBuilder, name: str, x: str, weight: _Rows, group: int) -> str:
    """`x` (..., step) times one group of the weight's columns."""
    graph.stream(f"{name}.weight", (weight.step, weight.rows), weight.values(group))
    graph.stream(f"{name}.scale", (weight.rows,), weight.scales(group))
    unit, magnitude = token_units(graph, x)
    inputs = [unit, f"{name}.weight", f"{name}.scale"]
    product = graph.node("DynamicQuantizeMatMul", inputs, f"{name}/matmul", domain=CONTRIB)
    return graph.node("Mul", [product, magnitude], f"{name}/scaled")


def quantize_rows(part: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(rows, width) -> transposed (width, rows) int8 and (rows,) scales; symmetric, a row of zeros has scale 1."""
    largest = np.abs(part).max(axis=1)
    scales = np.where(largest > 0, largest / INT8_LIMIT, 1).astype(np.float32)
    return np.rint(part / scales[:, None]).astype(np.int8).T, scales


def token_units(graph: GraphBuilder, x: str) -> tuple[str, str]:
    """`x` with each token divided by its largest magnitude, and that magnitude (..., 1), never 0.

    Asking again for the same `x` gives the same nodes: an MLP's two inner layers read one input.
    """
    unit, magnitude = f"{x}/unit", f"{x}/magnitude"
    if not graph.has(unit):
        last_axis = graph.constant("last_axis", np.array([-1], np.int64))
        smallest = graph.constant("smallest", np.array(1e-12, np.float32))
        absolute = graph.node("Abs", [x], f"{x}/abs")
        largest = graph.node("ReduceMax", [absolute, last_axis], f"{x}/largest", keepdims=1)
        graph.node("Max", [largest, smallest], magnitude)
        graph.node("Div", [x, magnitude], unit)
    return unit, magnitude


# --------------------------------------------------------------------------- int4 and int8 blocks
def write_blocks(
    graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str, *, bits: int, block_size: int
) -> str:
    """Symmetric blocks along the input width; accuracy level 4 quantises `x` in the same blocks and multiplies in int8.

    A width that is no multiple of the block is padded with zeros inside the last block; the kernel knows the width.
    """
    rows, width = weight.shape
    blocks = -(-width // block_size)
    scales: list[FloatArray] = []

    def quantized() -> Iterator[UInt8Array]:
        for part in weight.slices():
            packed, scale = quantize_blocks(part, bits, block_size)
            scales.append(scale)
            yield packed

    graph.stream(f"{name}.weight", (rows, blocks, block_size * bits // 8), quantized())
    graph.stream(f"{name}.scale", (rows, blocks), scales)
    inputs = [x, f"{name}.weight", f"{name}.scale", *(["", "", bias] if bias else [])]
    return graph.node(
        "MatMulNBits",
        inputs,
        f"{name}/matmul",
        domain=CONTRIB,
        K=width,
        N=rows,
        bits=bits,
        block_size=block_size,
        accuracy_level=4,
    )


def quantize_blocks(part: FloatArray, bits: int, block_size: int) -> tuple[UInt8Array, FloatArray]:
    """(rows, width) -> (rows, blocks, block bytes) and (rows, blocks) scales, by ONNX Runtime's own kernel."""
    rows, width = part.shape
    blocks = -(-width // block_size)
    packed = np.zeros((rows, blocks, block_size * bits // 8), np.uint8)
    scales = np.zeros(rows * blocks, np.float32)
    zero_points = np.zeros(rows * blocks, np.uint8)  # the symmetric kernel leaves them alone
    quantize = quantize_matmul_4bits if bits == 4 else quantize_matmul_8bits
    quantize(packed, np.ascontiguousarray(part.T), scales, zero_points, block_size, rows, width, True)
    return packed, scales.reshape(rows, blocks)
