"""The limits that every decoder holds, checked before or while decoding, never after."""

from __future__ import annotations

from dataclasses import dataclass, fields

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bytes are those of the file (not of its base64), pixels the header's. Raises ValueError on a limit <= 0."""

    max_image_bytes: int = 20 * MEGABYTE
    max_image_pixels: int = 36_000_000
    """The largest X-rays are mammograms of 29 Mpx (24 x 30 cm at 50 um); chest detectors have 9 to 19 Mpx."""
    max_audio_bytes: int = 25 * MEGABYTE
    max_audio_seconds: float = 300.0
    max_video_bytes: int = 100 * MEGABYTE
    max_video_seconds: float = 120.0
    max_video_pixels: int = 8_912_896
    """Of one frame: 4096 x 2176."""
    max_video_frames: int = 8
    """Frames that are sampled from a video; every other frame is dropped."""
    max_decode_seconds: float = 30.0
    """Wall time for one sound or video: the last guard, after those above."""
    kept_image_pixels: int = 4_000_000
    """A larger image is reduced by a whole factor (box filter) until it fits: encoders see 0.2 Mpx."""
    kept_video_pixels: int = 640_000
    """A larger frame is scaled down to this, keeping its aspect ratio."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) <= 0:
                raise ValueError(f"{item.name} must be positive")
