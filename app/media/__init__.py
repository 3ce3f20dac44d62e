"""Bytes from a caller -> arrays: RGB pixels, 16 kHz mono samples, sampled video frames. Nothing is opened or fetched.
The other way only for a heat map over a picture.

Every function here is pure, holds stated limits before it decodes, and raises only `InvalidInputError`,
`PayloadTooLargeError` or `UnsupportedMediaError` (stable codes, no content of the file in them).
"""

from app.media.audio import decode_audio
from app.media.heat_map import draw_heat_map
from app.media.image import decode_image
from app.media.inline import decode_inline
from app.media.limits import MediaLimits
from app.media.turns import LargePictureTurns
from app.media.video import decode_video

__all__ = [
    "LargePictureTurns",
    "MediaLimits",
    "decode_audio",
    "decode_image",
    "decode_inline",
    "decode_video",
    "draw_heat_map",
]
