"""Bad media: references, broken base64, and files that are cut off, mislabelled, empty, too large or traps."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

from tests.integration.requests import SECRET, Bad, Wire, case, media, whole
from tests.media_samples import (
    base64_of,
    box,
    dicom,
    encode_image,
    gradient,
    jpeg,
    mp4_index_bomb,
    png,
    png_bomb,
    sound,
    tone,
    video,
    wav,
    wav_float,
    with_data_size,
)

MIB = 1024 * 1024
GREY = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)
PLAYLIST = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd?{SECRET}\n".encode()
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
TEN_HOURS = 36_000


def reference(name: str, value: str, field: str = "image") -> Bad:
    return case(f"reference: {name}", {field: value}, f"/{field}", "media_reference_not_allowed")


def base64_text(name: str, value: str, code: str = "media_base64_invalid", status: int = 422) -> Bad:
    return case(f"base64: {name}", {"image": value}, "/image", code, status)


REFERENCES = [
    reference("http", f"http://169.254.169.254/latest/{SECRET}"),
    reference("https", "https://example.org/x.png"),
    reference("HTTP in capitals", "HTTP://EXAMPLE.ORG/X.PNG"),
    reference("file", "file:///etc/passwd", "audio"),
    reference("ftp", "ftp://example.org/a.wav", "audio"),
    reference("s3", "s3://bucket/a.mp4", "video"),
    reference("UNC", "\\\\server\\share\\a.png"),
    reference("drive", "C:\\patients\\kim.mp4", "video"),
    reference("absolute path", "/etc/passwd"),
    reference("home", "~/x.png"),
    reference("home of another", "~root/.ssh/id_rsa"),
    reference("relative path", "../../etc/passwd"),
    reference("file name", "xray.png"),
    reference("proc", "/proc/self/environ", "video"),
    reference("FFmpeg protocol", "concat:/etc/passwd|/etc/hosts", "audio"),
    reference("JavaScript", "javascript:alert(1)"),
    reference("with spaces before it", "  \n http://example.org/x.png"),
    case(
        "reference: second image",
        {"image": [base64_of(png()), "http://a/b"]},
        "/image/1",
        "media_reference_not_allowed",
    ),
    base64_text("letters that are none", "!!!!"),
    base64_text("Korean", "가나다라"),
    base64_text("null character", "iVBO\x00Rw0K"),
    base64_text("one letter", "A"),
    base64_text("padding inside", "aGVs=bG8="),
    base64_text("too much padding", "aGVsbG8===="),
    base64_text("two alphabets", "ab-_cd+/"),
    base64_text("data: without base64", "data:image/png,abc", "media_data_uri_not_base64"),
    base64_text("data: without a comma", "data:image/png;base64" + "A" * 300, "media_data_uri_invalid"),
    base64_text("data: of HTML", "data:text/html;base64,PGI+", "media_type_not_accepted", 415),
    base64_text("data: of nothing", "data:image/png;base64,", "image_empty"),
    base64_text("nothing", "", "image_empty"),
]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_text_bomb() -> bytes:
    """A picture with a comment that unfolds to 100 MB."""
    data = png()
    at = data.index(b"IDAT") - 4
    return data[:at] + png_chunk(b"zTXt", b"c\x00\x00" + zlib.compress(bytes(100_000_000), 1)) + data[at:]


def png_with_broken_pixels() -> bytes:
    data = bytearray(png())
    data[data.index(b"IDAT") + 20] ^= 0xFF
    return bytes(data)


def webp_bomb() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def jpeg_scan_bomb() -> bytes:
    good = jpeg(progressive=True)
    last = good.rindex(b"\xff\xda")
    return good[:-2] + good[last:-2] * 2000 + good[-2:]


def image(name: str, status: int, code: str, data: object) -> Bad:
    return media("image", name, status, code, data if callable(data) else lambda: data)


def audio(name: str, status: int, code: str, data: object) -> Bad:
    return media("audio", name, status, code, data if callable(data) else lambda: data)


def film(name: str, status: int, code: str, data: object) -> Bad:
    return media("video", name, status, code, data if callable(data) else lambda: data)


IMAGES = [
    image("one byte", 415, "image_unsupported", b"\x89"),
    image("text", 415, "image_unsupported", SECRET.encode()),
    image("HTML", 415, "image_unsupported", b"<html>"),
    image("SVG", 415, "image_unsupported", SVG),
    image("PDF", 415, "image_unsupported", b"%PDF-1.7"),
    image("GIF", 415, "image_unsupported", b"GIF89a" + bytes(100)),
    image("ZIP", 415, "image_unsupported", b"PK\x03\x04" + bytes(100)),
    image("a sound", 415, "image_unsupported", wav),
    image("cut off PNG", 422, "image_damaged", lambda: png()[:80]),
    image("cut off JPEG", 422, "image_damaged", lambda: jpeg(400, 300)[:2000]),
    image("PNG that is only a mark", 422, "image_damaged", b"\x89PNG\r\n\x1a\n"),
    image("broken pixels", 422, "image_damaged", png_with_broken_pixels),
    image("JPEG mark before a PNG", 422, "image_damaged", lambda: b"\xff\xd8\xff" + png()),
    image("noise behind a TIFF mark", 422, "image_damaged", b"II*\x00" + SECRET.encode() * 20),
    image("PNG bomb", 413, "image_too_many_pixels", png_bomb),
    image("WebP bomb", 413, "image_too_many_pixels", webp_bomb),
    image("comment bomb", 422, "image_damaged", png_text_bomb),
    image("JPEG scan bomb", 413, "image_too_complex", jpeg_scan_bomb),
    image("1 x 1", 422, "image_shape_unsupported", lambda: png(1, 1)),
    image("a line", 422, "image_shape_unsupported", lambda: png(4000, 16)),
    image("DICOM of many frames", 415, "dicom_multiframe", lambda: dicom(GREY, NumberOfFrames="50")),
    image("DICOM without pixels", 422, "dicom_without_pixels", lambda: dicom(GREY, PixelData=None)),
    image("cut off DICOM", 422, "image_damaged", lambda: dicom(GREY)[:-2000]),
    image("DICOM bomb", 413, "image_too_many_pixels", lambda: dicom(GREY, Rows=60_000, Columns=60_000)),
    image(
        "palette DICOM",
        415,
        "dicom_photometric_unsupported",
        lambda: dicom(GREY, PhotometricInterpretation="PALETTE COLOR"),
    ),
    image("over 20 MiB", 413, "image_too_large", lambda: png() + bytes(20 * MIB)),
]

SOUNDS = [
    audio("text", 415, "audio_unsupported", SECRET.encode()),
    audio("a picture", 415, "audio_unsupported", png),
    audio("a film", 415, "audio_unsupported", video),
    audio("HLS playlist", 415, "audio_unsupported", PLAYLIST),
    audio("concat script", 415, "audio_unsupported", CONCAT),
    audio("0 seconds", 422, "audio_empty", lambda: wav(tone(0))),
    audio("0.05 seconds", 422, "audio_too_short", lambda: wav(tone(0.05))),
    audio("ten hours in the header", 413, "audio_too_long", lambda: with_data_size(wav(), TEN_HOURS * 32_000)),
    audio("301 seconds", 413, "audio_too_long", lambda: wav(tone(301, 8000), 8000)),
    audio("cut off WAV", 422, "audio_damaged", lambda: wav()[:5000]),
    audio("WAV that is only a mark", 422, "audio_damaged", b"RIFF\xff\xff\xff\xffWAVE"),
    audio("cut off FLAC", 422, "audio_damaged", lambda: sound("flac")[:3000]),
    audio("cut off OGG", 422, "audio_damaged", lambda: sound("ogg")[:1500]),
    audio("not a number", 422, "audio_damaged", lambda: wav_float(np.full(16_000, np.nan, np.float32))),
    audio("infinite", 422, "audio_damaged", lambda: wav_float(np.full(16_000, np.inf, np.float32))),
    audio("noise behind an MP3 mark", 422, "audio_damaged", b"\xff\xfb\x90\x00" + SECRET.encode() * 40),
    audio("over 25 MiB", 413, "audio_too_large", lambda: wav() + bytes(25 * MIB)),
]

FILMS = [
    film("text", 415, "video_unsupported", SECRET.encode()),
    film("a picture", 415, "video_unsupported", png),
    film("AVI", 415, "video_unsupported", b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(100)),
    film("HLS playlist", 415, "video_unsupported", PLAYLIST),
    film("concat script", 415, "video_unsupported", CONCAT),
    film("sound alone", 422, "video_without_frames", lambda: sound("m4a")),
    film("cut off MP4", 422, "video_damaged", lambda: video(muxer={"movflags": "faststart"})[:-200]),
    film("MP4 without its index", 422, "video_damaged", lambda: video()[:1000]),
    film("MP4 that is only a mark", 422, "video_damaged", lambda: box(b"ftyp", b"isom", bytes(4))),
    film("index bomb", 413, "video_too_complex", mp4_index_bomb),
    film("130 seconds", 413, "video_too_long", lambda: video(frames=130, rate=1)),
    film("8 x 8", 422, "video_shape_unsupported", lambda: video(size=(8, 8))),
    film("over 44 MiB", 413, "video_too_large", lambda: video() + bytes(44 * MIB)),
]


def _everything_bad() -> Wire:
    """Four pictures of which the last is broken, beside a good sound: the pointer says which. The text is Korean."""
    images = [base64_of(png())] * 3 + [base64_of(encode_image(gradient())[:90])]
    return Wire(
        json.dumps({"text": f"기침이 나고 열이 있어요 {SECRET}", "image": images, "audio": base64_of(wav())}).encode()
    )


MIXED = [
    Bad("image: the fourth is cut off", 422, "image_damaged", _everything_bad, "/image/3"),
    whole("body over 64 MiB", {"text": "a" * (64 * MIB)}, "body_too_large", 413),
]

BAD_MEDIA = [*REFERENCES, *IMAGES, *SOUNDS, *FILMS, *MIXED]
