"""Whatever the bytes, the decoders answer with a decoded medium or with one of three errors, and soon."""

import time
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import Image, Video, Waveform
from app.errors import InvalidInputError, PayloadTooLargeError, UnsupportedMediaError
from app.media import MediaLimits, decode_audio, decode_image, decode_video
from tests.media_samples import (
    JPEG_BASELINE,
    RLE,
    dicom,
    encode_image,
    gradient,
    jpeg,
    sound,
    tone,
    video,
    wav,
    wav_float,
)

LIMITS = MediaLimits(max_decode_seconds=5.0)
GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)


@cache
def images() -> list[bytes]:
    plain = [encode_image(gradient(), kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF")]
    packed = [encode_image(gradient(), "TIFF", compression=name) for name in ("tiff_lzw", "jpeg")]
    grey = [dicom(GREY, WindowCenter="100", WindowWidth="50"), dicom(GREY, syntax=RLE)]
    return [*plain, *packed, *grey, dicom(gradient(), photometric="RGB", syntax=JPEG_BASELINE, frame=jpeg())]


@cache
def sounds() -> list[bytes]:
    encoded = [sound(kind, tone(0.3, rate)) for kind, rate in (("flac", 16_000), ("mp3", 16_000), ("m4a", 16_000))]
    opus = [sound(kind, tone(0.3, 48_000)) for kind in ("ogg", "webm")]
    return [*encoded, *opus, wav(tone(0.3)), wav_float(tone(0.2)), wav(np.repeat(tone(0.1), 8), channels=8)]


@cache
def films() -> list[bytes]:
    whole = [video(kind, frames=12, gop=5, with_sound=True) for kind in ("mp4", "mov", "webm", "vp8")]
    return [*whole, video(frames=12, muxer={"movflags": "frag_keyframe+empty_moov"})]


@st.composite
def mutated(draw, seeds):
    """A valid file with a few bytes changed, cut out, put in, or with its end cut off."""
    data = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(data) - 1, 0)) | st.integers(0, min(300, max(len(data) - 1, 0))))
        kind = draw(st.sampled_from(["set", "word", "cut", "insert", "end"]))
        if kind == "set":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "word":
            data[place : place + 4] = draw(
                st.sampled_from([bytes(4), b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\0\0\0\x01"])
            )
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 100))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=20))
        else:
            del data[place:]
    return bytes(data)


def answers(decode, data, kind):
    started = time.monotonic()
    refusal = None
    try:
        check(decode(data, LIMITS))
    except (InvalidInputError, PayloadTooLargeError, UnsupportedMediaError) as error:
        refusal = error
    assert refusal is None or refusal.code.startswith((kind, "dicom_"))
    assert time.monotonic() - started < 8.0


def check(decoded):
    if isinstance(decoded, Image):
        assert decoded.pixels.dtype == np.uint8
        assert decoded.pixels.shape[2] == 3
    elif isinstance(decoded, Waveform):
        assert np.isfinite(decoded.samples).all()
        assert np.abs(decoded.samples).max() <= 1.0
    elif isinstance(decoded, Video):
        assert 1 <= len(decoded.frames) <= LIMITS.max_video_frames
        assert decoded.fps > 0


FEW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@FEW
@given(data=mutated(images))
def test_images(data):
    answers(decode_image, data, "image")


@FEW
@given(data=mutated(sounds))
def test_sounds(data):
    answers(decode_audio, data, "audio")


@FEW
@given(data=mutated(films))
def test_videos(data):
    answers(decode_video, data, "video")


@pytest.mark.parametrize(
    "magic",
    [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\x00", b"RIFF\0\0\0\0WEBP", bytes(128) + b"DICM", b"fLaC",
     b"RIFF\0\0\0\0WAVE", b"OggS", b"\xff\xfb\x90\x00", b"\0\0\0\x18ftypisom", b"\x1a\x45\xdf\xa3\x9fB\x82\x84webm"],
)  # fmt: skip
@settings(max_examples=20, deadline=None)
@given(rest=st.binary(max_size=500))
def test_noise_behind_every_mark(magic, rest):
    answers(decode_image, magic + rest, "image")
    answers(decode_audio, magic + rest, "audio")
    answers(decode_video, magic + rest, "video")
