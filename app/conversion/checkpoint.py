"""Reading a checkpoint folder a slice at a time.

Only headers are read when a checkpoint is opened. A read copies the rows that were asked for and keeps nothing else, so
that the resident memory is one slice whatever the checkpoint's size and the format of its files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.conversion.pickled import Pickled
from app.conversion.shards import Safetensors, ShardError, ShardFormat, TensorInfo
from app.domain import FloatArray
from app.errors import ArtifactError

WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
"""A whole checkpoint in one file; `<name>.index.json` lists the shards of a larger one. The first found counts."""
READABLE_DTYPES = frozenset({"F32", "F16", "BF16"})
SLICE_WEIGHTS = 1 << 21
"""Weights that one slice holds at most: 8 MiB in float32. Row counts follow from it."""


class Checkpoint:
    """A folder with config.json and one or many weight files."""

    def __init__(self, folder: Path, config: Mapping[str, Any], on_read: Callable[[int], None]) -> None:
        """Knows no tensor yet. Use `open`."""
        self.folder = folder
        self.config = config
        self._on_read = on_read
        self._shards: Mapping[str, str] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._headers: dict[str, dict[str, TensorInfo]] = {}
        self._formats: dict[str, ShardFormat] = {".safetensors": Safetensors(), ".bin": Pickled()}

    @classmethod
    def open(cls, folder: Path, on_read: Callable[[int], None]) -> Checkpoint:
        """Read config.json and the tensor index; `on_read` hears the number of weights of every slice read later.

        ArtifactError where either file is missing or damaged.
        """
        checkpoint = cls(folder, read_json(folder / "config.json"), on_read)
        checkpoint._shards = checkpoint._find_shards()
        return checkpoint

    def _find_shards(self) -> Mapping[str, str]:
        """Tensor name -> file name. ArtifactError where no weights, or a damaged index, are found."""
        for name in WEIGHT_NAMES:
            index = self.folder / f"{name}.index.json"
            if index.is_file():
                shards = read_json(index).get("weight_map")
                if not isinstance(shards, dict) or not all(self._is_shard(shard) for shard in shards.values()):
                    raise invalid(self.folder, f"{index.name} has no usable weight_map")
                return shards
            if (self.folder / name).is_file():
                return dict.fromkeys(self._header(name), name)
        raise invalid(self.folder, f"no weights are here: neither {' nor '.join(WEIGHT_NAMES)}, nor an index")

    def __contains__(self, name: str) -> bool:
        return name in self._shards

    def require(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Check that every named tensor is there with that shape and a readable dtype.

        ArtifactError names the first that is not. Opens each shard that holds one of them once, so a missing or
        truncated file is found before any work is done.
        """
        missing = [name for name in expected if name not in self._shards]
        if missing:
            raise invalid(self.folder, f"tensor {missing[0]} is missing ({len(missing)} in all)")
        for shard in sorted({self._shards[name] for name in expected}):
            header = self._headers[shard] = self._header(shard)
            wanted = {name for name in expected if self._shards[name] == shard}
            if wanted - header.keys():
                raise invalid(self.folder, f"{shard} lacks tensor {min(wanted - header.keys())}")
            self._tensors.update({name: header[name] for name in wanted})
        for name, shape in expected.items():
            info = self._tensors[name]
            if info.shape != shape:
                raise invalid(self.folder, f"{name} has shape {list(info.shape)}, config.json says {list(shape)}")
            if info.dtype not in READABLE_DTYPES:
                raise invalid(self.folder, f"{name} has dtype {info.dtype}, only F32, F16 and BF16 are read")

    def fingerprint(self) -> str:
        """SHA-256 that names this exact checkpoint without reading its weights: config.json's bytes and, of every shard
        that `require` opened, name, size, time of change (ns), and name, shape and dtype of its tensors.

        ArtifactError where one of these files has gone.
        """
        digest = hashlib.sha256()
        try:
            digest.update((self.folder / "config.json").read_bytes())
            for shard, header in sorted(self._headers.items()):
                status = (self.folder / shard).stat()
                tensors = sorted((name, info.shape, info.dtype) for name, info in header.items())
                digest.update(json.dumps([shard, status.st_size, status.st_mtime_ns, tensors]).encode())
        except OSError as error:
            raise invalid(self.folder, f"a file of the checkpoint has gone: {error}") from error
        return digest.hexdigest()

    def shape(self, name: str) -> tuple[int, int]:
        """(rows, width) of a required tensor, its trailing dimensions flattened; a vector is (n, 1)."""
        rows, *rest = self._tensors[name].shape
        return rows, math.prod(rest)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows [start, stop) of a required tensor as (stop - start, width). ArtifactError on NaN or infinity."""
        info = self._tensors[name]
        path = self.folder / info.shard
        try:
            values = self._formats[path.suffix].rows(path, name, start, stop)
        except ShardError as error:
            raise invalid(self.folder, f"{info.shard} cannot be read: {error}") from error
        if not np.isfinite(values).all():
            raise invalid(self.folder, f"{name} holds NaN or infinite values")
        self._on_read(values.size)
        return values

    def _header(self, shard: str) -> dict[str, TensorInfo]:
        path = self.folder / shard
        if not path.is_file():
            raise invalid(self.folder, f"shard {shard} is missing")
        try:
            return self._formats[path.suffix].header(path)
        except ShardError as error:
            raise invalid(self.folder, f"{shard} cannot be read: {error}") from error

    def _is_shard(self, name: object) -> bool:
        """A weight file of the folder itself: no path that leads out of it."""
        return isinstance(name, str) and name == Path(name).name and Path(name).suffix in self._formats


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tensors stacked along their rows, read as one (rows, width) matrix; the weight of one linear layer."""

    checkpoint: Checkpoint
    names: Sequence[str]

    @property
    def shape(self) -> tuple[int, int]:
        shapes = [self.checkpoint.shape(name) for name in self.names]
        return sum(rows for rows, _ in shapes), shapes[0][1]

    def slices(self) -> Iterator[FloatArray]:
        """Consecutive row slices, each of at most SLICE_WEIGHTS weights (or one row)."""
        for name in self.names:
            rows, width = self.checkpoint.shape(name)
            step = max(1, SLICE_WEIGHTS // width)
            for start in range(0, rows, step):
                yield self.checkpoint.rows(name, start, min(start + step, rows))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. ArtifactError where the file is missing, not JSON or not an object."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise invalid(path.parent, f"{path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise invalid(path.parent, f"{path.name} cannot be read as JSON") from error
    if not isinstance(value, dict):
        raise invalid(path.parent, f"{path.name} is not a JSON object")
    return value


def invalid(folder: Path, reason: str) -> ArtifactError:
    """The error for a checkpoint that must not be converted; `reason` is kept to one line."""
    return ArtifactError("checkpoint_invalid", reason=" ".join(reason.split()), folder=str(folder))
