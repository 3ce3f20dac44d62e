"""The files that hold a checkpoint's weights, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open

from app.domain import FloatArray


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it is; dtype as safetensors names it (F32, F16, BF16, ...)."""

    shard: str
    shape: tuple[int, ...]
    dtype: str


class ShardError(Exception):
    """A weight file that cannot be read. Its text says why, for a person; `Checkpoint` adds which file."""


class ShardFormat(Protocol):
    """One kind of weight file. Nothing of the weights stays in memory after a call."""

    def header(self, path: Path) -> dict[str, TensorInfo]:
        """Name, shape and dtype of every tensor. ShardError for a file that is damaged, truncated or not safe."""

    def rows(self, path: Path, name: str, start: int, stop: int) -> FloatArray:
        """Rows [start, stop) of a tensor of `header` as (stop - start, width), in memory of the caller's own.

        ShardError where the file cannot be read any more.
        """


class Safetensors:
    """A read maps the file, copies the rows that were asked for and drops the mapping."""

    def header(self, path: Path) -> dict[str, TensorInfo]:
        """See `ShardFormat`; the library refuses a file shorter than its header says."""
        try:
            with safe_open(path, framework="pt") as handle:
                parts = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118 (not a mapping)
                return {
                    name: TensorInfo(path.name, tuple(part.get_shape()), part.get_dtype())
                    for name, part in parts.items()
                }
        except (SafetensorError, OSError) as error:
            raise ShardError(str(error)) from error

    def rows(self, path: Path, name: str, start: int, stop: int) -> FloatArray:
        """See `ShardFormat`."""
        import torch

        try:
            with safe_open(path, framework="pt") as shard:
                part = shard.get_slice(name)[start:stop].to(torch.float32).numpy().copy()
        except (SafetensorError, OSError) as error:
            raise ShardError(str(error)) from error
        values: FloatArray = part.reshape(stop - start, -1)
        return values
