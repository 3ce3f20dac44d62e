"""Looks through the boxes of an MP4/MOV before FFmpeg does (ISO 14496-12).

A table of a few bytes can claim a hundred million samples, and FFmpeg builds an index entry for each of them: 3 GB from
a 600-byte file. This walk adds up what the tables claim, in time linear in the number of boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.media.subject import Subject, WorkLimitError

UInt64Array = npt.NDArray[np.uint64]

MAX_SAMPLES = 1_000_000
"""Over all tracks. 120 s at 240 frames/s are 29,000; 300 s of AAC at 48 kHz 14,000."""
MAX_PCM_SAMPLES = 16_000_000
"""Uncompressed sound counts every sample (FFmpeg indexes them by the thousand): 300 s at 48 kHz are 14.4 million."""
_MAX_BOXES = 200_000
_MAX_DEPTH = 16
_CONTAINERS = frozenset(
    {
        *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts", b"mvex", b"udta", b"meta", b"tref"),
        *(b"dinf", b"wave", b"sinf", b"schi", b"hoov", b"free", b"ilst", b"strk", b"strd"),
    }
)


@dataclass(slots=True)
class _Track:
    """What the tables of one track add up to; the last table of a kind wins in FFmpeg, so all of them count here."""

    sizes: int = 0
    timed: int = 0
    offsets: int = 0
    chunks: int = 0
    chunk_runs: UInt64Array = field(default_factory=lambda: np.empty((0, 2), np.uint64))
    """(first chunk, samples per chunk) rows of the sample-to-chunk table."""
    sound: bool = False
    unit_duration: bool = False

    @property
    def pcm(self) -> bool:
        """Sound timed by one entry of duration 1: FFmpeg then indexes its chunks, not its samples."""
        return self.sound and self.unit_duration

    @property
    def claimed(self) -> int:
        if not len(self.chunk_runs):
            return max(self.sizes, self.timed, self.offsets)
        first = np.minimum(self.chunk_runs[:, 0], self.chunks + 1).astype(np.int64)
        chunks = np.maximum(np.diff(np.append(first, self.chunks + 1)), 0)
        in_chunks = float(chunks.astype(np.float64) @ self.chunk_runs[:, 1].astype(np.float64))
        return max(self.sizes, self.timed, self.offsets, int(in_chunks))


@dataclass(slots=True)
class _Claims:
    tracks: list[_Track] = field(default_factory=lambda: [_Track()])
    fragment_samples: int = 0
    seconds: float = 0.0
    boxes: int = 0


def check_boxes(data: bytes, subject: Subject) -> float:
    """The longest duration that a header claims, in seconds.

    Raises WorkLimitError on an index out of proportion, `<kind>_unsupported` on a compressed header.
    """
    claims = _Claims()
    for kind, body in _walk(memoryview(data), 0, claims):
        if kind == b"cmov":
            raise subject.unsupported("compressed_header")
        if kind == b"trak":
            claims.tracks.append(_Track())
        _read_table(kind, body, claims)
    pcm = sum(track.claimed for track in claims.tracks if track.pcm)
    others = sum(track.claimed for track in claims.tracks if not track.pcm)
    if others + claims.fragment_samples > MAX_SAMPLES or pcm > MAX_PCM_SAMPLES:
        raise WorkLimitError("samples")
    return claims.seconds


def _walk(view: memoryview, depth: int, claims: _Claims) -> Iterator[tuple[bytes, memoryview]]:
    """Every box, outer before inner. Sizes are clipped to the parent, as FFmpeg clips them."""
    position = 0
    while len(view) - position >= 8:
        size, kind = struct.unpack_from(">I4s", view, position)
        header = 8
        if size == 1 and len(view) - position >= 16:
            size, header = struct.unpack_from(">Q", view, position + 8)[0], 16
        elif size == 0:
            size = len(view) - position
        if size < header:
            return
        claims.boxes += 1
        if claims.boxes > _MAX_BOXES or depth > _MAX_DEPTH:
            raise WorkLimitError("boxes")
        body = view[position + header : position + size]
        yield kind, body
        if kind in _CONTAINERS:
            yield from _walk(_children(kind, body), depth + 1, claims)
        position += size


def _children(kind: bytes, body: memoryview) -> memoryview:
    """`meta` may or may not start with a version; its first child is `hdlr`."""
    if kind != b"meta":
        return body
    start = bytes(body[:64]).find(b"hdlr") - 4
    return body[max(start, 0) :]


def _read_table(kind: bytes, body: memoryview, claims: _Claims) -> None:
    track = claims.tracks[-1]
    if kind == b"hdlr":
        track.sound = track.sound or bytes(body[8:12]) == b"soun"
    elif kind in {b"stsz", b"stz2"}:
        track.sizes += _word(body, 8)
    elif kind in {b"stco", b"co64"}:
        track.chunks += min(_word(body, 4), len(body) // 4)
    elif kind == b"stts":
        rows = _rows(body, 2)
        track.timed += int(rows[:, 0].sum())
        track.unit_duration = len(rows) == 1 and int(rows[0, 1]) == 1
    elif kind == b"ctts":
        track.offsets += int(_rows(body, 2)[:, 0].sum())
    elif kind == b"stsc":
        track.chunk_runs = np.concatenate([track.chunk_runs, _rows(body, 3)[:, :2]])
    elif kind == b"trun":
        claims.fragment_samples += _word(body, 4)
    elif kind in {b"mvhd", b"mdhd"}:
        claims.seconds = max(claims.seconds, _header_seconds(body))


def _header_seconds(body: memoryview) -> float:
    """Duration of a movie or media header, version 0 or 1; all ones mean that it is not known."""
    wide = bytes(body[:1]) == b"\x01"
    scale = _word(body, 20 if wide else 12)
    raw = bytes(body[24:32] if wide else body[16:20])
    unknown = not scale or raw == b"\xff" * len(raw)
    return 0.0 if unknown else int.from_bytes(raw, "big") / scale


def _word(body: memoryview, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 4], "big")


def _rows(body: memoryview, columns: int) -> UInt64Array:
    """A table's rows of 32-bit words, as many as the box really holds."""
    rows = max(0, min(_word(body, 4), (len(body) - 8) // (4 * columns)))
    words = np.frombuffer(body[8 : 8 + 4 * columns * rows], ">u4")
    return words.reshape(rows, columns).astype(np.uint64)
