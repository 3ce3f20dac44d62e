"""Reads the weights of a converted graph: names, shapes and bytes, from the protobuf alone.

The onnx package would do, but a service with prepared weights does without it, and this is read before anything is
loaded. Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the encoding that of
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import ArtifactError

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DIMS, _TENSOR_NAME, _TENSOR_RAW_DATA, _TENSOR_EXTERNAL_DATA = 1, 8, 9, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LAYER = re.compile(r"L(\d+)\.")
_BLOCK = re.compile(r"([A-Z]\d+)\.([\w.]+)\.(weight|scale)$")

Field = tuple[int, int | memoryview]


@dataclass(frozen=True, slots=True)
class Weight:
    """One initializer. `bytes` is what it takes on disk, and within a few percent what its packed form takes."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    location: str | None
    """File that holds it, beside the graph; None: the graph itself."""
    end: int
    """Where it ends in that file."""

    @property
    def layer(self) -> int | None:
        """N of a decoder's `LN.…`, None for what no layer owns."""
        match = _LAYER.match(self.name)
        return int(match[1]) if match else None


def read_weights(path: Path) -> tuple[Weight, ...]:
    """ArtifactError where the file is no graph, or names weights beyond the end of the file that holds them."""
    try:
        model = memoryview(path.read_bytes())
        tensors = [
            tensor
            for graph in _messages(_fields(model), _MODEL_GRAPH)
            for tensor in _messages(_fields(graph), _GRAPH_INITIALIZER)
        ]
        weights = tuple(_weight(tensor) for tensor in tensors)
    except (ValueError, LookupError) as error:
        raise ArtifactError("model_graph_invalid", file=str(path), reason="it is damaged") from error
    if not weights:
        raise ArtifactError("model_graph_invalid", file=str(path), reason="it holds no weights")
    _check_files(path.parent, weights)
    return weights


def layer_bytes(weights: Iterable[Weight]) -> list[int]:
    """Bytes of every decoder layer, from the first."""
    found: defaultdict[int, int] = defaultdict(int)
    for weight in weights:
        if weight.layer is not None:
            found[weight.layer] += weight.bytes
    return [found[index] for index in range(len(found))]


def block_outputs(weights: Iterable[Weight]) -> int:
    """Widths of the outputs of all linear layers of a graph's widest block, added up.

    A quantised matrix has one scale, or one row of scales, for each output; another has a row.
    """
    rows: dict[tuple[str, str], int] = {}
    for weight in sorted(weights, key=lambda one: one.name.endswith(".scale")):
        match = _BLOCK.match(weight.name)
        if match and weight.shape:
            rows[match[1], match[2]] = weight.shape[0]
    blocks: defaultdict[str, int] = defaultdict(int)
    for (block, _), count in rows.items():
        blocks[block] += count
    return max(blocks.values(), default=0)


def _weight(tensor: memoryview) -> Weight:
    shape: list[int] = []
    name, location, external, size = "", None, {}, 0
    for number, value in _fields(tensor):
        if number == _TENSOR_DIMS:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == _TENSOR_NAME:
            name = _text(value)
        elif number == _TENSOR_RAW_DATA:
            size = len(_bytes(value))
        elif number == _TENSOR_EXTERNAL_DATA:
            entry = dict(_fields(_bytes(value)))
            external[_text(entry[_ENTRY_KEY])] = _text(entry[_ENTRY_VALUE])
    if external:
        size, location = int(external["length"]), external["location"]
    elif not size:
        size = 4 * math.prod(shape)  # a typed field; none here is wider
    return Weight(name, tuple(shape), size, location, int(external.get("offset", "0")) + size)


def _check_files(folder: Path, weights: Iterable[Weight]) -> None:
    ends: defaultdict[str, int] = defaultdict(int)
    for weight in weights:
        if weight.location is not None:
            ends[weight.location] = max(ends[weight.location], weight.end)
    for name, end in ends.items():
        file = folder / name
        if not file.is_file():
            raise ArtifactError("model_file_missing", folder=str(folder), file=name)
        if file.stat().st_size < end:
            raise ArtifactError("model_file_damaged", folder=str(folder), file=name)


# --------------------------------------------------------------------------- protobuf
def _fields(data: memoryview) -> Iterator[Field]:
    """(field number, value): an int for a varint, bytes for what has a length. ValueError where it is cut."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("cut off")
        yield number, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """(value, position after it). IndexError at the end of the data."""
    value, shift = 0, 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7


def _varints(data: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(value)
    return values


def _messages(fields: Iterable[Field], wanted: int) -> Iterator[memoryview]:
    return (_bytes(value) for number, value in fields if number == wanted)


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    return str(_bytes(value), "utf-8")
