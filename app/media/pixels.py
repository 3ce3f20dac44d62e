"""Pixels of any depth and colour model -> RGB uint8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from app.domain import UInt8Array
from app.media.subject import Subject

MIN_SIDE = 16
MAX_ASPECT = 100
_BIT_DEPTHS = (8, 10, 12, 14, 16)
_BAND_PIXELS = 1_000_000


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


def scale_integers(values: npt.NDArray[Any], peak: int) -> UInt8Array:
    """Unsigned grey values up to `peak` -> uint8, by the smallest of 8, 10, 12, 14, 16 bits that holds `peak`.

    Medical pictures are often 12 bits in a 16-bit file: dividing by 257 would make them black.
    """
    bits = next(depth for depth in _BIT_DEPTHS if peak < 1 << depth)
    scaled = values.astype(np.float32)
    scaled *= np.float32(255.0 / ((1 << bits) - 1))
    levels: UInt8Array = np.rint(scaled, out=scaled).astype(np.uint8)
    return levels


def stretch(values: npt.NDArray[Any], low: float, high: float) -> UInt8Array:
    """[low, high] -> 0..255, clipped; all black where the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    unit = values.astype(np.float32)
    unit -= np.float32(low)  # in place from here on: a large picture's floats are the most that it holds
    unit /= np.float32(high - low)
    np.clip(unit, 0.0, 1.0, out=unit)
    unit *= np.float32(255.0)
    levels: UInt8Array = np.rint(unit, out=unit).astype(np.uint8)
    return levels


def reduced_rgb(picture: Pillow.Image, factor: int, subject: Subject) -> UInt8Array:
    """A loaded picture of any mode -> RGB (height / factor, width / factor, 3), rounded up; transparency over white.

    Band by band: only the loaded picture itself is ever held in full, and its colours are right before they are mixed.
    """
    rgb_of = _conversion(picture, subject)
    rows, columns = -(-picture.height // factor), -(-picture.width // factor)
    reduced = np.empty((rows, columns, 3), np.uint8)
    row = 0
    for band in _bands(picture, factor):
        rgb = rgb_of(band)
        part = np.asarray(rgb.reduce(factor) if factor > 1 else rgb)
        reduced[row : row + len(part)] = part
        row += len(part)
    return reduced


def _bands(picture: Pillow.Image, factor: int = 1) -> Iterator[Pillow.Image]:
    """Copies of its rows from top to bottom, about a million pixels each and, but for the last, whole in `factor`."""
    rows = max(1, _BAND_PIXELS // (picture.width * factor)) * factor
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _conversion(picture: Pillow.Image, subject: Subject) -> Callable[[Pillow.Image], Pillow.Image]:
    """What makes RGB of a band; grey values of more than 8 bits are scaled by what the whole picture holds."""
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        return partial(_from_levels, _scale(picture, subject))
    if picture.has_transparency_data:
        return _over_white
    return _opaque


def _from_levels(scale: Callable[[npt.NDArray[Any]], UInt8Array], band: Pillow.Image) -> Pillow.Image:
    return Pillow.fromarray(scale(np.asarray(band))).convert("RGB")


def _over_white(band: Pillow.Image) -> Pillow.Image:
    layer = band.convert("RGBA")
    ground = Pillow.new("RGBA", layer.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(ground, layer).convert("RGB")


def _opaque(band: Pillow.Image) -> Pillow.Image:
    return band.convert("RGB")


def _scale(picture: Pillow.Image, subject: Subject) -> Callable[[npt.NDArray[Any]], UInt8Array]:
    """Unsigned values of at most 16 bits by their depth; wider integers and floats from lowest to highest."""
    low, high = np.inf, -np.inf
    for values in map(np.asarray, _bands(picture)):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        if not np.isfinite(values).all():
            raise subject.damaged("not_finite")
    if picture.mode != "F" and low >= 0 and high < 1 << 16:
        return partial(scale_integers, peak=int(high))
    return partial(stretch, low=low, high=high)
