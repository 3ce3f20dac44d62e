"""The weights of a converted graph: names, shapes and bytes, from its protobuf and the size of its data file."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from app.encoders.serving_graph import load_graph
from app.errors import ArtifactError

_LAYER = re.compile(r"L(\d+)\.")
_BLOCK = re.compile(r"([A-Z]\d+)\.([\w.]+)\.(weight|scale)$")


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
        weights = tuple(_weight(tensor) for tensor in load_graph(path).graph.initializer)
        _check_files(path.parent, weights)
    except (ValueError, LookupError, TypeError) as error:  # text that is none comes as bytes
        raise ArtifactError("model_graph_invalid", file=str(path), reason="it is damaged") from error
    if not weights:
        raise ArtifactError("model_graph_invalid", file=str(path), reason="it holds no weights")
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


def _weight(tensor: TensorProto) -> Weight:
    external = {entry.key: entry.value for entry in tensor.external_data}
    shape = tuple(tensor.dims)
    if external:
        size, location = int(external["length"]), external["location"]
    else:
        size, location = len(tensor.raw_data) or 4 * math.prod(shape), None  # a typed field; none here is wider
    return Weight(tensor.name, shape, size, location, int(external.get("offset", "0")) + size)


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
