"""Append-only external data of one ONNX file: what a graph's initializers point to.

Every tensor starts on a page boundary, so that ONNX Runtime can map it instead of copying it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

PAGE = 4096


class ExternalData:
    """Writes `<model>.onnx.data`; close it (or leave the `with`) to have it on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()

    def add(self, name: str, shape: tuple[int, ...], parts: Iterable[npt.NDArray[Any]]) -> TensorProto:
        """Append one tensor given as consecutive parts of one dtype; returns the initializer that points to it.

        ValueError where the parts do not add up to `shape`: a graph must never point at half a weight.
        """
        self._handle.write(b"\0" * (-self._handle.tell() % PAGE))
        offset = self._handle.tell()
        dtype: np.dtype[Any] | None = None
        for part in parts:
            dtype = part.dtype
            self._handle.write(np.ascontiguousarray(part).data)
        length = self._handle.tell() - offset
        if dtype is None or length != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name}: {length} bytes written for shape {shape}")
        return self._pointer(name, shape, dtype, offset, length)

    def _pointer(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, length: int
    ) -> TensorProto:
        tensor = TensorProto(
            name=name,
            dims=shape,
            data_type=helper.np_dtype_to_tensor_dtype(dtype),
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", self._path.name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor
