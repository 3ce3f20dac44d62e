"""Pictures, sounds and videos that are no part of any case: the answer must be `insufficient_evidence`.

Made by code, the same on every machine that has the same libraries: nothing is read from a file.
"""

from __future__ import annotations

import io
import wave
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.domain import AUDIO_SAMPLE_RATE, FloatArray, UInt8Array
from app.evaluation.non_medical_pictures import PICTURES, draw_cat
from app.evaluation.non_medical_sounds import SOUNDS, waveform
from app.evaluation.quality import encode_mp4

SEED = 20_240
VIDEO_FPS = 4
VIDEO_FRAMES = 12
WIDTH, HEIGHT = 160, 120

MediaKind = Literal["image", "audio", "video"]
Frame = Callable[[float, ImageDraw.ImageDraw, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class NonMedicalMedium:
    """One encoded file: PNG, WAV (16-bit mono) or MP4."""

    case_id: str
    kind: MediaKind
    data: bytes


def non_medical_media() -> Iterator[NonMedicalMedium]:
    """All of them, always in the same order."""
    for name, painter in PICTURES.items():
        yield NonMedicalMedium(f"image_{name}", "image", _png(painter(_rng(name))))
    for name, player in SOUNDS.items():
        yield NonMedicalMedium(f"audio_{name}", "audio", _wav(waveform(player, _rng(name))))
    for name, frame in VIDEOS.items():
        yield NonMedicalMedium(f"video_{name}", "video", encode_mp4(_film(frame, _rng(name)), VIDEO_FPS))


def _rng(name: str) -> np.random.Generator:
    """One stream for each name: adding one leaves the others as they were."""
    return np.random.default_rng((SEED, zlib.crc32(name.encode())))


# --------------------------------------------------------------------------- videos
def _film(frame: Frame, rng: np.random.Generator) -> UInt8Array:
    """Frames (VIDEO_FRAMES, HEIGHT, WIDTH, 3) uint8; `frame` draws at a time from 0 to 1."""
    frames = []
    for time in np.linspace(0, 1, VIDEO_FRAMES):
        image = Image.new("RGB", (WIDTH, HEIGHT), (245, 245, 245))
        frame(float(time), ImageDraw.Draw(image), rng)
        frames.append(np.asarray(image))
    return np.stack(frames)


def _bouncing_ball(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    height = 100 - 80 * abs(np.sin(3 * np.pi * time))
    draw.ellipse((60, height - 15, 90, height + 15), fill=(220, 50, 50))


def _sliding_square(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    draw.rectangle((120 * time, 40, 120 * time + 40, 80), fill=(40, 90, 200))


def _turning_bar(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    x, y = 50 * np.cos(2 * np.pi * time), 50 * np.sin(2 * np.pi * time)
    draw.line((80 - x, 60 - y, 80 + x, 60 + y), fill=(20, 120, 60), width=9)


def _growing_rings(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    for ring in range(1, 5):
        radius = ring * (6 + 12 * time)
        draw.ellipse((80 - radius, 60 - radius, 80 + radius, 60 + radius), outline=(150, 40, 150), width=3)


def _fading_colour(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, HEIGHT), fill=(int(255 * time), 80, int(255 * (1 - time))))


def _moving_stripes(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    for stripe in range(-1, 9):
        left = stripe * 20 + 20 * (4 * time % 1)
        draw.rectangle((left, 0, left + 9, HEIGHT), fill=(250, 180, 30))


def _scrolling_credits(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, HEIGHT), fill=(0, 0, 0))
    for row, line in enumerate(("THE END", "directed by", "A. Nobody", "music by", "B. Someone")):
        draw.text((35, 110 - 140 * time + row * 26), line, fill=(255, 255, 255), font=ImageFont.load_default(16))


def _walking_cat(time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    draw_cat(draw, 30 + 100 * time, 70, 25)


def _snowfall(_time: float, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, HEIGHT), fill=(30, 40, 80))
    for x, y in rng.uniform((0, 0), (WIDTH, HEIGHT), (70, 2)):
        draw.ellipse((x, y, x + 3, y + 3), fill=(255, 255, 255))


def _black(_time: float, draw: ImageDraw.ImageDraw, _rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, HEIGHT), fill=(0, 0, 0))


VIDEOS: Mapping[str, Frame] = {
    "bouncing_ball": _bouncing_ball,
    "sliding_square": _sliding_square,
    "turning_bar": _turning_bar,
    "growing_rings": _growing_rings,
    "fading_colour": _fading_colour,
    "moving_stripes": _moving_stripes,
    "scrolling_credits": _scrolling_credits,
    "walking_cat": _walking_cat,
    "snowfall": _snowfall,
    "black": _black,
}


# --------------------------------------------------------------------------- files
def _png(pixels: UInt8Array) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def _wav(samples: FloatArray) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(AUDIO_SAMPLE_RATE)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return target.getvalue()
