"""The token embedding as a .npy that encoders map: (vocab, hidden), float16 or float32."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from app.conversion.checkpoint import SLICE_WEIGHTS, Matrix
from app.conversion.external_data import SectionFile
from app.conversion.journal import Journal
from app.conversion.progress import Progress
from app.conversion.quantization import FloatType, as_float

SECTION_SLICES = 32
"""Slices that the checkpoint is read in, of one section: 128 MiB in float16."""


def write_embedding(table: Matrix, path: Path, dtype: FloatType, journal: Journal, progress: Progress) -> None:
    """Stream `table`, one tensor, into `path`. ArtifactError where a value does not fit into float16."""
    (name,) = table.names
    rows, width = table.shape
    step = max(1, SLICE_WEIGHTS // width)
    with SectionFile(path, journal) as file:
        with file.section("header", []) as kept:
            if kept is None:
                file.write(_header(rows, width, dtype))
        for first in range(0, rows, SECTION_SLICES * step):
            last = min(first + SECTION_SLICES * step, rows)
            progress.detail(f"row {last}/{rows}")
            with file.section(f"rows {first}", []) as kept:
                if kept is not None:
                    progress.skip((last - first) * width)
                    continue
                for start in range(first, last, step):
                    part = table.checkpoint.rows(name, start, min(start + step, last))
                    file.write(as_float(table, part, dtype))


def _header(rows: int, width: int, dtype: FloatType) -> bytes:
    header = io.BytesIO()
    settings = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(header, settings)
    return header.getvalue()
