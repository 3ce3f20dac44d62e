"""What a file is, by its first bytes. Names and declared types are never believed."""

from __future__ import annotations

from typing import Literal

ImageFormat = Literal["DICOM", "JPEG", "PNG", "WEBP", "BMP", "TIFF"]
AudioFormat = Literal["wav", "flac", "mp3", "ogg", "mov", "webm"]
VideoFormat = Literal["mov", "webm"]

_IMAGE_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_QUICKTIME_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"hevc", b"hevx", b"mif1", b"msf1")


def sniff_image(data: bytes) -> ImageFormat | None:
    """DICOM is looked for first: a Part 10 file may carry any 128 bytes before its mark."""
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _IMAGE_MAGIC if data.startswith(magic)), None)


def sniff_audio(data: bytes) -> AudioFormat | None:
    """`data` without leading ID3 tags (`skip_id3`)."""
    if data[:4] in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return "wav"
    if data.startswith(b"fLaC"):
        return "flac"
    if data.startswith(b"OggS"):
        return "ogg"
    if is_mp3_header(data[:4]):
        return "mp3"
    return sniff_video(data)


def sniff_video(data: bytes) -> VideoFormat | None:
    """`mov` covers MP4, M4A and MOV; a Matroska file is only taken where it says that it is WebM."""
    if data.startswith(_EBML_MAGIC) and b"\x42\x82\x84webm" in data[:64]:
        return "webm"
    if data[4:8] in _QUICKTIME_BOXES and not (data[4:8] == b"ftyp" and data[8:12] in _STILL_BRANDS):
        return "mov"
    return None


def is_mp3_header(header: bytes) -> bool:
    """True for the four bytes that open an MPEG-1/2/2.5 layer III frame (ISO 11172-3, 2.4.2.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3


def skip_id3(data: bytes) -> bytes:
    """`data` without leading ID3v2 tags: they hold names and pictures, which nobody here wants to read."""
    offset = 0
    while data[offset : offset + 3] == b"ID3" and len(data) >= offset + 10:
        size = 0
        for byte in data[offset + 6 : offset + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if data[offset + 5] & 0x10 else 0
        offset += 10 + size + footer
    return data[offset:] if offset else data
