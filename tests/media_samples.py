"""Small media files made on the spot: good ones of every kind that the service reads, and the pieces of bad ones."""

from __future__ import annotations

import base64
import io
import struct
import tempfile
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid

JPEG_BASELINE = JPEGBaseline8Bit
RLE = RLELossless


# --------------------------------------------------------------------------- strings
def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64_of(data)}"


# --------------------------------------------------------------------------- images
def gradient(width: int = 64, height: int = 48) -> np.ndarray:
    """RGB uint8: red grows to the right, green downwards, blue is 40. Every corner differs."""
    red = np.linspace(0, 255, width, dtype=np.uint8)[None, :].repeat(height, 0)
    green = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return np.stack([red, green, np.full_like(red, 40)], axis=2)


def encode_image(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """`pixels` is an array that Pillow knows, or a Pillow image."""
    picture = pixels if isinstance(pixels, Pillow.Image) else Pillow.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int = 64, height: int = 48) -> bytes:
    return encode_image(gradient(width, height), "PNG")


def jpeg(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return encode_image(gradient(width, height), "JPEG", quality=95, subsampling=0, **options)


def dicom(
    stored: np.ndarray,
    *,
    photometric: str = "MONOCHROME2",
    syntax: str = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    **elements: Any,
) -> bytes:
    """A Part 10 file of one frame. `frame` replaces the pixel data (an encapsulated JPEG); `elements` are set last."""
    dataset = Dataset()
    dataset.PatientName = "SECRET^NAME"
    dataset.PatientID = "SECRET-ID"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    _set_pixels(dataset, stored, syntax, frame)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _set_pixels(dataset: Dataset, stored: np.ndarray, syntax: str, frame: bytes | None) -> None:
    from pydicom.encaps import encapsulate

    if frame is not None:
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
    elif syntax == RLE:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = stored.tobytes()
        dataset.compress(RLE, generate_instance_uid=False)
    else:
        order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
        dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
        dataset["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"


# --------------------------------------------------------------------------- sound
def tone(seconds: float = 1.0, rate: int = 16_000, hertz: float = 440.0) -> np.ndarray:
    """(n,) float32 sine of amplitude 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray | None = None, rate: int = 16_000, channels: int = 1) -> bytes:
    """16-bit PCM; `samples` are interleaved where there is more than one channel."""
    samples = tone() if samples is None else samples
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def wav_float(samples: np.ndarray, rate: int = 16_000) -> bytes:
    """32-bit float PCM, written as it is: NaN and infinity included."""
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, rate, rate * 4, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def with_data_size(data: bytes, size: int) -> bytes:
    """A WAV of ours whose data chunk claims `size` bytes."""
    return data[:40] + struct.pack("<I", size) + data[44:]


_SOUND = {
    "flac": ("flac", "flac"),
    "mp3": ("libmp3lame", "mp3"),
    "ogg": ("libopus", "ogg"),
    "vorbis": ("vorbis", "ogg"),
    "m4a": ("aac", "ipod"),
    "alac": ("alac", "ipod"),
    "webm": ("libopus", "webm"),
}


def sound(kind: str, samples: np.ndarray | None = None, rate: int | None = None, **options: str) -> bytes:
    """`kind` is a key of _SOUND; Opus is 48 kHz, everything else 16 kHz unless told. `options` are the muxer's."""
    codec, container_format = _SOUND[kind]
    rate = rate or (48_000 if codec == "libopus" else 16_000)
    samples = tone(rate=rate) if samples is None else samples
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format, options=options) as container:
        layout = "stereo" if codec == "vorbis" else "mono"
        stream = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})
        _encode_sound(container, stream, samples, layout)
    return buffer.getvalue()


def _encode_sound(container: Any, stream: Any, samples: np.ndarray, layout: str = "mono") -> None:
    interleaved = np.repeat(samples, 2) if layout == "stereo" else samples
    frame = av.AudioFrame.from_ndarray(interleaved.astype(np.float32)[None, :], format="flt", layout=layout)
    frame.sample_rate = stream.rate
    frame.pts = 0
    for item in (frame, None):
        for packet in stream.encode(item):
            container.mux(packet)


# --------------------------------------------------------------------------- video
_FILM = {
    "mp4": ("libx264", "mp4"),
    "mov": ("libx264", "mov"),
    "webm": ("libvpx-vp9", "webm"),
    "vp8": ("libvpx", "webm"),
}


def video(
    kind: str = "mp4",
    *,
    frames: int = 30,
    rate: int | Fraction = 10,
    size: tuple[int, int] = (64, 48),
    with_sound: bool = False,
    muxer: dict[str, str] | None = None,
    gop: int = 12,
    shade: np.ndarray | None = None,
) -> bytes:
    """Frame i is grey of level 8 * i (mod 240), so that a decoded frame tells its number. `size` is (width, height).

    `shade` (height, width, 3) uint8 is shown instead, in every frame.
    """
    codec, container_format = _FILM[kind]
    width, height = size
    pictures = [
        np.full((height, width, 3), 8 * index % 240, np.uint8) if shade is None else shade for index in range(frames)
    ]
    # A named file: with `faststart` the muxer opens its own output again.
    with tempfile.NamedTemporaryFile(suffix=f".{container_format}") as file:
        with av.open(file.name, "w", format=container_format, options=muxer or {}) as container:
            _encode_film(container, codec, pictures, rate=rate, gop=gop, with_sound=with_sound)
        return Path(file.name).read_bytes()


def _encode_film(
    container: Any, codec: str, pictures: list[np.ndarray], *, rate: int | Fraction, gop: int, with_sound: bool
) -> None:
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = pictures[0].shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = gop
    sound_codec = "aac" if codec == "libx264" else "libopus"
    track = container.add_stream(sound_codec, rate=48_000, layout="mono") if with_sound else None
    for picture in pictures:
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)
    if track is not None:
        _encode_sound(container, track, tone(len(pictures) / rate, 48_000))


# --------------------------------------------------------------------------- attacks
def png_bomb(width: int = 100_000, height: int = 100_000) -> bytes:
    """A PNG header that claims ten thousand megapixels, and nothing behind it."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def box(kind: bytes, *parts: bytes) -> bytes:
    """One MP4 box."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def mp4_index_bomb(samples: int = 20_000_000) -> bytes:
    """Some 600 bytes whose sample tables claim `samples` frames: FFmpeg alone needs 40 bytes of memory for each."""

    def table(kind: bytes, *words: int) -> bytes:
        return box(kind, bytes(4), struct.pack(f">{len(words)}I", *words))

    entry = box(b"mp4v", bytes(6), b"\x00\x01", bytes(16), struct.pack(">HH", 64, 64), bytes(50))
    tables = (
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        table(b"stts", 1, samples, 1),
        table(b"stsc", 1, 1, samples, 1),
        table(b"stsz", 1, samples),
        table(b"stco", 1, 40),
    )
    media = box(
        b"mdia",
        box(b"mdhd", bytes(4), struct.pack(">IIIII", 0, 0, 1000, 1000, 0)),
        box(b"hdlr", bytes(8), b"vide", bytes(13)),
        box(b"minf", box(b"vmhd", bytes(12)), box(b"stbl", *tables)),
    )
    track = box(b"trak", box(b"tkhd", bytes(4), struct.pack(">III", 0, 0, 1), bytes(68)), media)
    movie = box(b"mvhd", bytes(4), struct.pack(">IIII", 0, 0, 1000, 1000), bytes(80))
    return box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", movie, track) + box(b"mdat", bytes(1000))
