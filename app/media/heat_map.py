"""A picture under a heat map, as PNG."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from app.domain import UInt8Array

MAX_SIDE = 512
RED, BLUE = (214, 39, 40), (31, 119, 180)
STRONGEST = 0.65
"""Opacity of the largest value."""


def draw_heat_map(pixels: UInt8Array, values: npt.NDArray[np.float64]) -> bytes:
    """PNG, at most MAX_SIDE px: RGB `pixels` (height, width, 3) in grey under red (values above 0) and blue (below).

    `values` (rows, columns) are laid over the whole picture; the largest of them, by its size, is the most opaque.
    """
    picture = Pillow.fromarray(pixels)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    grey = np.asarray(picture.convert("L"), np.float32)[..., None].repeat(3, axis=2)
    largest = float(np.abs(values).max())
    scaled = (values / largest if largest > 0 else values).astype(np.float32)
    heat = np.asarray(Pillow.fromarray(scaled).resize(picture.size, Pillow.Resampling.BICUBIC))[..., None]
    colour = np.where(heat > 0, np.array(RED, np.float32), np.array(BLUE, np.float32))
    opacity = STRONGEST * np.clip(np.abs(heat), 0, 1)
    blended = np.clip((1 - opacity) * grey + opacity * colour, 0, 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(blended).save(buffer, "PNG")
    return buffer.getvalue()
