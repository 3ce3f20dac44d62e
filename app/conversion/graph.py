"""Building an ONNX graph node by node while its weights stream into an external data file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.conversion.checkpoint import Checkpoint, Matrix
from app.conversion.external_data import ExternalData
from app.conversion.journal import Journal
from app.conversion.progress import Progress

CONTRIB = "com.microsoft"
OPSET = 21
IR_VERSION = 10
Shape = Sequence[int | str]


class LinearRole(StrEnum):
    """What a linear layer does in its block; a precision scheme is chosen by it."""

    ATTENTION_IN = "attention_in"
    """Makes queries, keys and values: a small error moves the whole attention pattern."""
    MLP_OUT = "mlp_out"
    """Reads the gated activations, the ones with the largest outliers."""
    OTHER = "other"


class LinearWriter(Protocol):
    """Writes one linear layer's weight in some precision and the nodes that multiply by it."""

    def __call__(self, graph: GraphBuilder, name: str, x: str, weight: Matrix, bias: str) -> str:
        """`x` (..., width) -> name of y (..., rows). `bias` is an initializer (rows,) or "" for none."""


Scheme = Mapping[LinearRole, LinearWriter]


class GraphBuilder:
    """One graph and its `<name>.onnx.data`; nothing of the weights stays in memory.

    Names are stable (`L3.qkv`, ...): a graph can be cut or shared by editing its protobuf only. Nodes are made anew by
    every run; of the weights, the sections that the journal says are finished are not read again.
    """

    def __init__(
        self, path: Path, checkpoint: Checkpoint, scheme: Scheme, journal: Journal, progress: Progress
    ) -> None:
        self.checkpoint = checkpoint
        self._path = path
        self._data = ExternalData(path.with_name(path.name + ".data"), journal)
        self._scheme = scheme
        self._progress = progress
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.__exit__(kind, error, trace)

    @contextmanager
    def section(self, name: str, label: str) -> Iterator[None]:
        """Weights are streamed inside of one; a conversion that was interrupted goes on after the last whole one."""
        self._progress.detail(label)
        with self._data.section(name):
            yield

    # ----------------------------------------------------------------- inputs and outputs
    def input(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: Shape) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    # ----------------------------------------------------------------- nodes
    def node(
        self,
        op: str,
        inputs: Sequence[str],
        name: str,
        *,
        domain: str = "",
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Add a node; its first output is called `name` unless `outputs` says otherwise. Returns the first output."""
        names = list(outputs) or [name]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=name, domain=domain, **attributes))
        return names[0]

    def has(self, output: str) -> bool:
        """Whether a node gives this output already."""
        return any(output in node.output for node in reversed(self._nodes))

    def linear(
        self,
        name: str,
        x: str,
        weights: Sequence[str],
        biases: Sequence[str] = (),
        role: LinearRole = LinearRole.OTHER,
    ) -> str:
        """`x` times the transposed checkpoint matrices, stacked, plus the stacked biases."""
        bias = self.vector(f"{name}.bias", biases) if biases else ""
        return self._scheme[role](self, name, x, self._matrix(weights), bias)

    # ----------------------------------------------------------------- initializers
    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """A small tensor kept inside the .onnx file; asking again for a name gives the same one."""
        if name not in self._constants:
            self._constants.add(name)
            self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def vector(self, name: str, tensors: Sequence[str]) -> str:
        """Checkpoint vectors laid end to end as one float32 initializer."""
        matrix = self._matrix(tensors)
        return self.stream(name, matrix.shape[:1], matrix.slices())

    def tensor(self, name: str, tensor: str, shape: tuple[int, ...]) -> str:
        """A checkpoint tensor as a float32 initializer of `shape`."""
        return self.stream(name, shape, self._matrix([tensor]).slices())

    def stream(self, name: str, shape: tuple[int, ...], parts: Iterable[npt.NDArray[Any]]) -> str:
        """Append a tensor to the external data, part by part."""
        self._initializers.append(self._data.add(name, shape, parts))
        return name

    def _matrix(self, tensors: Sequence[str]) -> Matrix:
        """To be read, unless an earlier run did: then it counts as done."""
        matrix = Matrix(self.checkpoint, tensors)
        if self._data.is_kept:
            self._progress.skip(math.prod(matrix.shape))
        return matrix

    # ----------------------------------------------------------------- the file
    def save(self) -> None:
        """Write the .onnx file."""
        graph = helper.make_graph(self._nodes, self._path.stem, self._inputs, self._outputs, self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="medmodal-fusion")
        onnx.save(model, self._path)
