"""Image bytes -> RGB pixels: JPEG, PNG, WebP, BMP, TIFF and DICOM, told apart by their first bytes."""

from __future__ import annotations

from app.domain import Image
from app.media.dicom import decode_dicom
from app.media.limits import MediaLimits
from app.media.quiet import quiet_libraries
from app.media.raster import decode_raster
from app.media.sniff import sniff_image
from app.media.subject import Subject
from app.media.turns import LargePictureTurns


def decode_image(
    data: bytes, limits: MediaLimits, *, field: str = "image", turns: LargePictureTurns | None = None
) -> Image:
    """One picture, upright, as RGB uint8; more than `kept_image_pixels` are reduced by a whole factor.

    `turns` is what the threads of a process share, so that large pictures are decoded one after the other.
    Of a multi-page TIFF or an animated PNG/WebP the first picture is taken; a multi-frame DICOM is refused.
    Raises UnsupportedMediaError `image_unsupported` and the DICOM codes of `app.media.dicom`; InvalidInputError
    `image_empty`, `image_damaged`, `image_shape_unsupported`; PayloadTooLargeError `image_too_large`,
    `image_too_many_pixels`, `image_too_complex`.
    """
    subject = Subject("image", field)
    subject.check_size(data, limits.max_image_bytes)
    turns = turns or LargePictureTurns()
    kind = sniff_image(data)
    if kind is None:
        raise subject.unsupported("unknown")
    with quiet_libraries(), subject.decoding():
        if kind == "DICOM":
            return decode_dicom(data, limits, subject, turns)
        return Image(decode_raster(data, kind, limits, subject, turns))
