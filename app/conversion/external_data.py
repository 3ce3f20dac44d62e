"""Files that grow section by section, and the external data of an ONNX graph, which is one.

Every tensor of external data starts on a page boundary, so that ONNX Runtime can map it instead of copying it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from app.conversion.journal import Journal, Section, TensorRecord

PAGE = 4096


class SectionFile:
    """An append-only file. What the journal says is finished stays; what lies behind it is cut off."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal
        self._kept = deque(journal.of(path.name))
        self._digest = hashlib.sha256()
        self.position = self._kept[-1].stop if self._kept else 0
        path.touch()
        self._handle = path.open("r+b", buffering=0)
        self._handle.truncate(self.position)
        self._handle.seek(self.position)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    @contextmanager
    def section(self, name: str, tensors: list[TensorRecord]) -> Iterator[Section | None]:
        """Write one section in this block and put into `tensors` what it holds; None is given, and when the block ends
        well the section is on disk and in the journal.

        A Section is given instead where an earlier run finished it: the block then writes nothing. RuntimeError where
        sections come in another order than then.
        """
        if self._kept:
            kept = self._kept.popleft()
            if kept.name != name:
                raise RuntimeError(f"{self._path.name}: section {name} comes where {kept.name} was")
            yield kept
            return
        start, self._digest = self.position, hashlib.sha256()
        yield None
        with self._named_errors():
            os.fsync(self._handle.fileno())
        self._journal.append(
            Section(
                file=self._path.name,
                name=name,
                start=start,
                stop=self.position,
                sha256=self._digest.hexdigest(),
                tensors=tuple(tensors),
            )
        )

    def write(self, data: bytes | npt.NDArray[Any]) -> None:
        """Append to the section that is open. OSError with the file's name where the disk is full."""
        view = memoryview(data) if isinstance(data, bytes) else np.ascontiguousarray(data).data.cast("B")
        self._digest.update(view)
        self.position += len(view)
        with self._named_errors():
            while view:
                view = view[self._handle.write(view) :]

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


class ExternalData:
    """`<model>.onnx.data`: tensors, each inside a section."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._name = path.name
        self._file = SectionFile(path, journal)
        self._tensors: list[TensorRecord] = []
        self._kept: dict[str, TensorRecord] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)

    @property
    def is_kept(self) -> bool:
        """Whether the open section was finished by an earlier run, so that no weight has to be read for it."""
        return self._kept is not None

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Tensors are added inside of one; see `SectionFile.section`."""
        self._tensors = []
        with self._file.section(name, self._tensors) as kept:
            self._kept = None if kept is None else {tensor.name: tensor for tensor in kept.tensors}
            yield

    def add(self, name: str, shape: tuple[int, ...], parts: Iterable[npt.NDArray[Any]]) -> TensorProto:
        """Append one tensor given as consecutive parts of one dtype; returns the initializer that points to it.

        `parts` is not touched where the section is kept. ValueError where the parts, or the tensor that was kept, do
        not add up to `shape`: a graph must never point at half a weight.
        """
        if self._kept is not None:
            record = self._kept[name]
        else:
            record = self._written(name, shape, parts)
            self._tensors.append(record)
        if record.shape != shape or record.length != math.prod(shape) * np.dtype(record.dtype).itemsize:
            raise ValueError(f"{name}: {record.length} bytes written for shape {shape}")
        return self._pointer(record)

    def _written(self, name: str, shape: tuple[int, ...], parts: Iterable[npt.NDArray[Any]]) -> TensorRecord:
        self._file.write(b"\0" * (-self._file.position % PAGE))
        offset = self._file.position
        dtype = ""
        for part in parts:
            dtype = part.dtype.name
            self._file.write(part)
        return TensorRecord(
            name=name, dtype=dtype or "uint8", shape=shape, offset=offset, length=self._file.position - offset
        )

    def _pointer(self, record: TensorRecord) -> TensorProto:
        tensor = TensorProto(
            name=record.name,
            dims=record.shape,
            data_type=helper.np_dtype_to_tensor_dtype(np.dtype(record.dtype)),
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", self._name), ("offset", record.offset), ("length", record.length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor
