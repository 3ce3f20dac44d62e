"""DICOM's grey-scale pipeline: stored values -> rescale -> window -> 0..255, dark is 0 (PS3.3, C.11.1 and C.11.2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from app.domain import FloatArray, UInt8Array
from app.media.pixels import stretch


def grey_levels(stored: npt.NDArray[Any], dataset: Dataset) -> UInt8Array:
    """(height, width) uint8. The first window is used; without a usable one, the range of the values themselves.

    Padding (Pixel Padding Value) does not count for that range. MONOCHROME1 is inverted. ValueError where rescaling
    leaves numbers that are not finite.
    """
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    values: FloatArray = stored.astype(np.float32)
    values *= np.float32(slope)
    values += np.float32(intercept)
    if not np.isfinite(values).all():
        raise ValueError("rescale leaves no finite values")
    centre, width = _number(dataset, "WindowCenter", math.nan), _number(dataset, "WindowWidth", math.nan)
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if math.isfinite(centre) and math.isfinite(width) and width > (0.0 if function != "LINEAR" else 1.0):
        levels = _window(values, centre, width, function)
    else:
        levels = _full_range(values, stored, dataset)
    inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    return 255 - levels if inverted else levels


def _window(values: FloatArray, centre: float, width: float, function: str) -> UInt8Array:
    """The VOI LUT functions LINEAR (C.11.2.1.2.1), LINEAR_EXACT and SIGMOID."""
    if function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - np.float32(centre)) / np.float32(width), -80.0, 80.0)
        levels: UInt8Array = np.rint(255.0 / (1.0 + np.exp(exponent))).astype(np.uint8)
        return levels
    if function == "LINEAR_EXACT":
        return stretch(values, centre - width / 2, centre + width / 2)
    return stretch(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _full_range(values: FloatArray, stored: npt.NDArray[Any], dataset: Dataset) -> UInt8Array:
    padding = dataset.get("PixelPaddingValue")
    shown = values[stored != padding] if isinstance(padding, int) else values
    if shown.size == 0:
        return np.zeros(values.shape, np.uint8)
    return stretch(values, float(shown.min()), float(shown.max()))


def _number(dataset: Dataset, name: str, absent: float) -> float:
    """The first value of a decimal element, `absent` where there is none."""
    value = dataset.get(name)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return absent if value is None or value == "" else float(value)
