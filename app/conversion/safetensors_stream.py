"""Write a safetensors file tensor by tensor: the header first, then each tensor's bytes as it becomes available.

`safetensors.numpy.save_file` wants every tensor in memory at once; a checkpoint made from a GGUF file or from another
checkpoint need never be. Format: 8 bytes little-endian header length, JSON header, data in header order.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.errors import ArtifactError

Tensor = npt.NDArray[np.float16]
_ITEM_BYTES = 2
_HEADER_ALIGNMENT = 8


def write_float16(path: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Iterator[tuple[str, Tensor]]) -> None:
    """Write `tensors` to `path` as float16, in the order of `shapes`.

    ArtifactError where a tensor comes out of order, has another shape, holds a value that is not finite, or is missing.
    """
    with path.open("wb") as handle:
        handle.write(_header(shapes))
        for name, shape in shapes.items():
            given, tensor = next(tensors, ("", np.zeros(0, np.float16)))
            if given != name or tensor.shape != shape:
                raise ArtifactError("checkpoint_tensor_mismatch", expected=name, found=given)
            if not np.isfinite(tensor).all():
                raise ArtifactError("checkpoint_tensor_not_finite", tensor=name)
            handle.write(np.ascontiguousarray(tensor, dtype="<f2").tobytes())


def _header(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + math.prod(shape) * _ITEM_BYTES
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
