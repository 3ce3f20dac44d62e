"""Pixels of any depth and colour model -> RGB uint8."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from app.domain import UInt8Array
from app.media.subject import Subject

MIN_SIDE = 16
MAX_ASPECT = 100
_BIT_DEPTHS = (8, 10, 12, 14, 16)


def check_dimensions(width: int, height: int, max_pixels: int, subject: Subject) -> None:
    """From a header, before any pixel is decoded: `<kind>_too_many_pixels`, `<kind>_shape_unsupported`."""
    if width * height > max_pixels:
        raise subject.too_many_pixels(max_pixels)
    shorter, longer = sorted((width, height))
    if shorter < MIN_SIDE or longer > shorter * MAX_ASPECT:
        raise subject.invalid("shape_unsupported", min_side=MIN_SIDE, max_aspect=MAX_ASPECT)


def reduction_factor(pixels: int, kept_pixels: int) -> int:
    """The smallest whole factor by which both sides must shrink so that about `kept_pixels` remain."""
    factor = 1
    while pixels > kept_pixels * factor * factor:
        factor += 1
    return factor


def scale_integers(values: npt.NDArray[Any]) -> UInt8Array:
    """Unsigned grey values of unknown depth -> uint8, by the smallest of 8, 10, 12, 14, 16 bits that holds them.

    Medical pictures are often 12 bits in a 16-bit file: dividing by 257 would make them black.
    """
    peak = int(values.max())
    bits = next((depth for depth in _BIT_DEPTHS if peak < 1 << depth), 32)
    scaled = values.astype(np.float32) * np.float32(255.0 / ((1 << bits) - 1))
    levels: UInt8Array = np.rint(scaled).astype(np.uint8)
    return levels


def stretch(values: npt.NDArray[Any], low: float, high: float) -> UInt8Array:
    """[low, high] -> 0..255, clipped; all black where the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    unit = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    levels: UInt8Array = np.rint(np.clip(unit, 0.0, 1.0) * 255.0).astype(np.uint8)
    return levels


def to_rgb(picture: Pillow.Image, subject: Subject) -> Pillow.Image:
    """RGB of a loaded picture of any mode; transparency is laid over white."""
    if picture.mode.startswith("I;16"):
        return Pillow.fromarray(scale_integers(np.asarray(picture))).convert("RGB")
    if picture.mode in {"I", "F"}:
        return Pillow.fromarray(_from_wide(np.asarray(picture), subject)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        ground = Pillow.new("RGBA", layer.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(ground, layer).convert("RGB")
    return picture.convert("RGB")


def _from_wide(values: npt.NDArray[Any], subject: Subject) -> UInt8Array:
    """32-bit integers or floats: unsigned values of at most 16 bits by their depth, everything else min to max."""
    if not np.isfinite(values).all():
        raise subject.damaged("not_finite")
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind in "iu" and low >= 0 and high < 1 << 16:
        return scale_integers(values)
    return stretch(values, low, high)
