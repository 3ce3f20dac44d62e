"""JPEG, PNG, WebP, BMP and TIFF with Pillow: header checks first, then the pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from app.domain import UInt8Array
from app.media.limits import MediaLimits
from app.media.pixels import check_dimensions, reduced_rgb, reduction_factor
from app.media.sniff import ImageFormat
from app.media.subject import Subject
from app.media.turns import LargePictureTurns

MAX_JPEG_SCANS = 100
"""A progressive JPEG has about ten. Each scan costs a pass over the picture: thousands of them are an attack."""
_JPEG_SCAN = b"\xff\xda"
_BMP_RLE = frozenset({1, 2})
_TURN = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright (EXIF 2.32, tag 0x0112)."""


def decode_raster(
    data: bytes, kind: ImageFormat, limits: MediaLimits, subject: Subject, turns: LargePictureTurns
) -> UInt8Array:
    """RGB (height, width, 3). Call inside `subject.decoding()`: Pillow's exceptions come out as they are."""
    _check_header(data, kind, limits, subject)
    try:
        picture = Pillow.open(io.BytesIO(data), formats=[kind])
    except Pillow.DecompressionBombError:
        raise subject.too_many_pixels(limits.max_image_pixels) from None
    with picture:
        check_dimensions(*picture.size, limits.max_image_pixels, subject)
        factor = reduction_factor(picture.width * picture.height, limits.kept_image_pixels)
        if kind == "JPEG" and factor % 2 == 0:
            # libjpeg scales by 2, 4 or 8 while it decodes: less memory and time than decoding it all.
            by = min(factor & -factor, 8)
            picture.draft(None, (picture.width // by, picture.height // by))
        with turns.take(picture.width * picture.height):
            picture.load()
            orientation = 1 if kind == "TIFF" else picture.getexif().get(ExifTags.Base.Orientation, 1)
            return _finish(picture, orientation, limits.kept_image_pixels, subject)


def _finish(picture: Pillow.Image, orientation: object, kept_pixels: int, subject: Subject) -> UInt8Array:
    rgb = reduced_rgb(picture, reduction_factor(picture.width * picture.height, kept_pixels), subject)
    turn = _TURN.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else np.array(Pillow.fromarray(rgb).transpose(turn), np.uint8)


def _check_header(data: bytes, kind: ImageFormat, limits: MediaLimits, subject: Subject) -> None:
    """What Pillow does not guard against, or only after it has allocated the canvas."""
    if kind == "JPEG":
        check_jpeg_scans(data, subject)
    elif kind == "WEBP":
        check_dimensions(*_webp_size(data, subject), limits.max_image_pixels, subject)
    elif kind == "BMP" and int.from_bytes(data[30:34], "little") in _BMP_RLE:
        raise subject.unsupported("bmp_rle")  # Pillow decodes it byte by byte in Python: minutes for a large one


def check_jpeg_scans(data: bytes, subject: Subject) -> None:
    """0xFF is stuffed inside a scan, so these two bytes only ever start one (or sit in a thumbnail)."""
    if data.count(_JPEG_SCAN) > MAX_JPEG_SCANS:
        raise subject.too_complex("jpeg_scans")


def _webp_size(data: bytes, subject: Subject) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649, sections 2.5 to 2.7)."""
    if len(data) < 30:
        raise subject.damaged("truncated")
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise subject.damaged("webp_chunk")
