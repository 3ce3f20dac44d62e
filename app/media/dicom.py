"""DICOM -> RGB pixels and the modality. No other element of the file is ever read: files name patients.

Read without further packages: Implicit and Explicit VR (little and big endian), RLE Lossless, JPEG Baseline. Deflated,
JPEG Lossless, JPEG-LS, JPEG 2000 and the video syntaxes are refused. Codes beyond those of `decode_image`:
`dicom_multiframe`, `dicom_transfer_syntax_unsupported`, `dicom_photometric_unsupported`, `dicom_without_pixels`.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from app.domain import Image, UInt8Array
from app.errors import InvalidInputError, UnsupportedMediaError
from app.media.dicom_grey import grey_levels
from app.media.limits import MediaLimits
from app.media.pixels import check_dimensions, reduction_factor
from app.media.raster import check_jpeg_scans
from app.media.subject import Subject
from app.media.turns import LargePictureTurns

_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_PLUGIN = {
    "1.2.840.10008.1.2": "",
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.2": "",
    _RLE_LOSSLESS: "pydicom",
    _JPEG_BASELINE: "pillow",
}
"""Transfer syntax -> pydicom's decoder plugin; an empty one is not compressed."""
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422"})
_MODALITY = re.compile(r"[A-Z0-9]{2,16}")
_PREAMBLE = 132
_TRANSFER_SYNTAX = 0x0002_0010
_TAGS: list[Any] = [
    "Modality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelData",
]


def decode_dicom(data: bytes, limits: MediaLimits, subject: Subject, turns: LargePictureTurns) -> Image:
    """The single frame of a Part 10 file. Call inside `subject.decoding()` and `quiet_libraries()`."""
    syntax = _transfer_syntax(data, subject)
    dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=_TAGS)
    _check_header(dataset, limits, subject)
    photometric = str(dataset.PhotometricInterpretation)
    if _PLUGIN[syntax] == "pillow":
        _check_jpeg(dataset, subject)
    decoder = get_decoder(UID(syntax))
    with turns.take(int(dataset.Columns) * int(dataset.Rows)):
        values, _ = decoder.as_array(dataset, decoding_plugin=_PLUGIN[syntax])
        levels = grey_levels(values, dataset) if photometric in _GREY else _colour(values, subject)
        return Image(_kept_rgb(levels, limits.kept_image_pixels), _modality(dataset))


def _transfer_syntax(data: bytes, subject: Subject) -> str:
    """Read from group 2 alone: pydicom would inflate a deflated file, whatever its size, before we could look."""
    meta = read_dataset(
        io.BytesIO(data[_PREAMBLE:]),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
        specific_tags=[_TRANSFER_SYNTAX],
    )
    if _TRANSFER_SYNTAX not in meta:
        raise subject.damaged("no_transfer_syntax")
    syntax = str(meta[_TRANSFER_SYNTAX].value)
    if syntax not in _PLUGIN:
        raise UnsupportedMediaError("dicom_transfer_syntax_unsupported", field=subject.field)
    return syntax


def _check_header(dataset: Dataset, limits: MediaLimits, subject: Subject) -> None:
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnsupportedMediaError("dicom_multiframe", field=subject.field)
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise InvalidInputError("dicom_without_pixels", field=subject.field)
    check_dimensions(int(dataset.Columns), int(dataset.Rows), limits.max_image_pixels, subject)
    photometric, samples = str(dataset.PhotometricInterpretation), int(dataset.SamplesPerPixel)
    bits = int(dataset.BitsAllocated)
    readable = (photometric in _GREY and samples == 1 and bits in {8, 16, 32}) or (
        photometric in _COLOUR and samples == 3 and bits == 8
    )
    if not readable:
        raise UnsupportedMediaError("dicom_photometric_unsupported", field=subject.field)


def _check_jpeg(dataset: Dataset, subject: Subject) -> None:
    """The JPEG inside may claim other dimensions than the DICOM header that was checked."""
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    check_jpeg_scans(frame, subject)
    with Pillow.open(io.BytesIO(frame), formats=["JPEG"]) as picture:
        if picture.size != (int(dataset.Columns), int(dataset.Rows)):
            raise subject.damaged("dimensions_differ")


def _colour(values: npt.NDArray[Any], subject: Subject) -> UInt8Array:
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8:
        raise subject.damaged("not_rgb")
    return values


def _kept_rgb(levels: UInt8Array, kept_pixels: int) -> UInt8Array:
    """(height, width) or (height, width, 3) -> RGB, reduced where it is too large."""
    picture = Pillow.fromarray(np.ascontiguousarray(levels))
    factor = reduction_factor(picture.width * picture.height, kept_pixels)
    reduced = picture.reduce(factor) if factor > 1 else picture
    return np.array(reduced.convert("RGB"), np.uint8)


def _modality(dataset: Dataset) -> str | None:
    """(0008,0060) where it is a code; anything else in that element could be free text."""
    value = str(dataset.get("Modality") or "").strip()
    return value if _MODALITY.fullmatch(value) else None
