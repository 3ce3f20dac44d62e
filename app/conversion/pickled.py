"""Reading `pytorch_model*.bin` without running anything that it holds.

Such a file is a zip archive: a pickle that describes the tensors, and one uncompressed record of raw numbers for each
storage. The pickle may name a handful of torch's functions and types, for which this module has stand-ins; torch's own
loader is not used. It would have to map the whole file privately and writable (`torch.load(mmap=True)`), which Linux
refuses for a file larger than the memory, as a 14.5 GB shard on an 8 GB machine is. Here only the tensor that is read
is mapped, and read-only.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.conversion.shards import ShardError, TensorInfo
from app.domain import FloatArray

ADVICE = "convert it to safetensors"
STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""torch's storage types -> dtypes as safetensors names them."""
ITEM_TYPES: dict[str, npt.DTypeLike] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""How the bytes of a readable dtype are mapped; numpy has no bfloat16."""
MAX_PICKLE_BYTES = 64 << 20
"""A full-size shard's is under 100 KB."""
_LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a zip record: its fixed part ends with the lengths of the name and of the extra field."""


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    """A view of a storage, as pickled; counts in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Elements from the first to the last one, both included; 0 for an empty tensor."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


class _Place(NamedTuple):
    """A tensor and the byte of the file at which its first element lies."""

    tensor: _Tensor
    start: int


class Pickled:
    """A zip archive as `torch.save` has written it since torch 1.6. Remembers where the tensors of a file lie."""

    def __init__(self) -> None:
        self._places: dict[Path, dict[str, _Place]] = {}

    def header(self, path: Path) -> dict[str, TensorInfo]:
        """See `ShardFormat`; ShardError also for the older format and for a pickle of more than tensors."""
        try:
            places = _read_places(path)
        except zipfile.BadZipFile as error:
            raise ShardError(f"it is truncated, or in torch's format of before 1.6: {ADVICE}") from error
        except ShardError:
            raise
        except Exception as error:  # a damaged pickle can raise anything
            raise ShardError(f"its pickle is damaged ({type(error).__name__})") from error
        self._places[path] = places
        return {
            name: TensorInfo(path.name, place.tensor.shape, place.tensor.storage.dtype)
            for name, place in places.items()
        }

    def rows(self, path: Path, name: str, start: int, stop: int) -> FloatArray:
        """See `ShardFormat`; transposed and overlapping tensors are read as torch would show them."""
        place = self._places[path][name]
        tensor = place.tensor
        kind = np.dtype(ITEM_TYPES[tensor.storage.dtype])
        try:
            mapped = np.memmap(path, kind, mode="r", offset=place.start, shape=(tensor.extent,))
        except (OSError, ValueError) as error:
            raise ShardError(str(error)) from error
        strides = [stride * kind.itemsize for stride in tensor.strides]
        view = np.lib.stride_tricks.as_strided(mapped, tensor.shape, strides, writeable=False)
        part = view[start:stop].reshape(stop - start, -1)
        if tensor.storage.dtype == "BF16":
            return (part.astype(np.uint32) << 16).view(np.float32)
        return part.astype(np.float32)


def _read_places(path: Path) -> dict[str, _Place]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as handle:
        records = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if "data.pkl" not in records or "constants.pkl" in records:
            raise ShardError(f"it is no archive of tensors alone: {ADVICE}")
        if "byteorder" in records and _read(handle, records["byteorder"]) != b"little":
            raise ShardError("its numbers are big-endian")
        if records["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise ShardError("its pickle is too large")
        tensors = _Unpickler(io.BytesIO(_read(handle, records["data.pkl"]))).load()
        if not isinstance(tensors, dict) or not all(
            isinstance(name, str) and isinstance(value, _Tensor) for name, value in tensors.items()
        ):
            raise ShardError(f"it holds something other than tensors by name: {ADVICE}")
        return {name: _place(handle, records, tensor) for name, tensor in tensors.items()}


def _place(handle: io.BufferedReader, records: Mapping[str, zipfile.ZipInfo], tensor: _Tensor) -> _Place:
    """Where a tensor lies. ShardError where it would reach out of its storage: the mapping is not checked again."""
    kind, key = tensor.storage
    if kind not in ITEM_TYPES:
        return _Place(tensor, 0)
    record = records[f"data/{key}"]
    size = np.dtype(ITEM_TYPES[kind]).itemsize
    counts = (tensor.offset, *tensor.shape, *tensor.strides)
    is_sane = all(isinstance(count, int) and count >= 0 for count in counts)
    if not is_sane or (tensor.offset + tensor.extent) * size > record.file_size:
        raise ShardError("a tensor reaches out of its storage")
    return _Place(tensor, _data_start(handle, record) + tensor.offset * size)


def _data_start(handle: io.BufferedReader, record: zipfile.ZipInfo) -> int:
    if record.compress_type != zipfile.ZIP_STORED:
        raise ShardError(f"it is compressed: {ADVICE}")
    handle.seek(record.header_offset)
    name, extra = _LOCAL_HEADER.unpack(handle.read(_LOCAL_HEADER.size))
    return record.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _read(handle: io.BufferedReader, record: zipfile.ZipInfo) -> bytes:
    """A small record. Not through zipfile: torch can be told to leave the checksums out."""
    handle.seek(_data_start(handle, record))
    return handle.read(record.file_size)


class _RebuildTensor:
    """Like the two below, stands for a function of torch. Has no attributes: a pickle can call it, not alter it."""

    __slots__ = ()

    def __call__(self, storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    __slots__ = ()

    def __call__(self, data: object, *_: object) -> object:
        return data


class _RebuildFromType:
    __slots__ = ()

    def __call__(self, rebuild: Callable[..., object], _type: object, arguments: Any, *_: object) -> object:
        return rebuild(*arguments)


class _Unpickler(pickle.Unpickler):
    """Looks no name up: the ones that a file of tensors needs stand for what is written here, any other is an error."""

    ALLOWED: Mapping[tuple[str, str], object] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
        ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
        ("torch._tensor", "_rebuild_from_type_v2"): _RebuildFromType(),
        ("torch", "Tensor"): "Tensor",
        ("torch.nn.parameter", "Parameter"): "Parameter",
        **{("torch", storage): dtype for storage, dtype in STORAGES.items()},
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in. ShardError for any other name."""
        if (module, name) not in self.ALLOWED:
            raise ShardError(f"it asks for {module}.{name}, which a file of tensors need not: {ADVICE}")
        return self.ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """torch's reference to a storage: ("storage", type, key, device, count)."""
        kind, dtype, key, *_ = pid
        if kind != "storage" or dtype not in STORAGES.values():
            raise ShardError(f"it refers to something other than a storage: {ADVICE}")
        return _Storage(dtype, str(key))
