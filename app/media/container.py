"""Opens a container in memory with FFmpeg, one named demuxer and a list of decoders: no probing, no second file."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import av
from av.container import InputContainer

from app.media.quicktime import check_boxes
from app.media.subject import Subject, WorkLimitError

AUDIO_CODECS = frozenset(
    {
        *("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "adpcm_ms", "adpcm_ima_wav"),
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"),
        *("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be", "adpcm_ima_qt"),
    }
)
VIDEO_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mjpeg"})
_DEMUXER = {"wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "mov": "mov", "webm": "matroska"}
_MAX_STREAMS = 32
_READS_PER_BYTE = 64
_FREE_READS = 64_000_000
_PROBE_FACTOR = 4
"""FFmpeg decodes a frame of some codecs to learn its size; below this it tells us, above it the stream has no size."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in monotonic time after which decoding stops."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def check(self) -> None:
        """Raises WorkLimitError when the time is up."""
        if time.monotonic() > self.at:
            raise WorkLimitError("time")


class _BoundedReader(io.BytesIO):
    """Bytes for FFmpeg. Bounds the native loops that Python cannot see: each of them reads."""

    def __init__(self, data: bytes, deadline: Deadline) -> None:
        super().__init__(data)
        self._deadline = deadline
        self._left = len(data) * _READS_PER_BYTE + _FREE_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._deadline.check()
        block = super().read(size)
        self._left -= len(block)
        if self._left < 0:
            raise WorkLimitError("reads")
        return block


def _refuse_reference(_url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError("a container may not refer to another file")


@contextmanager
def open_container(
    data: bytes, kind: str, subject: Subject, *, max_seconds: float, max_pixels: int, deadline: Deadline
) -> Iterator[InputContainer]:
    """`kind` is one of sniff's audio or video formats. Call inside `subject.decoding()`.

    Raises `<kind>_too_long` for an MP4 whose header claims more than `max_seconds`: FFmpeg does not tell.
    """
    if kind == "mov":
        subject.check_length(check_boxes(data, subject), max_seconds)
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": "wav,flac,mp3,ogg,mov,matroska",
        "codec_whitelist": ",".join(sorted(AUDIO_CODECS | VIDEO_CODECS)),
        "max_streams": str(_MAX_STREAMS),
        "max_pixels": str(max_pixels * _PROBE_FACTOR),
        "threads": "1",
    }
    if kind == "mov":
        # Edit lists multiply the index; without them a sound starts up to 50 ms early, which nothing here can notice.
        options |= {"enable_drefs": "0", "use_absolute_path": "0", "advanced_editlist": "0"}
    reader = _BoundedReader(data, deadline)
    with av.open(
        reader, mode="r", format=_DEMUXER[kind], options=options, metadata_errors="replace", io_open=_refuse_reference
    ) as container:
        yield container


def prepare_decoder(stream: Any, max_pixels: int) -> None:
    """One thread, and FFmpeg's own pixel limit for sizes that change inside the stream."""
    context = stream.codec_context
    context.thread_count = 1
    context.options = {"max_pixels": str(max_pixels)}


class PacketBudget:
    """Bounds what a demuxer may hand out: packets, and bytes (an index can name the same bytes again and again)."""

    def __init__(self, file_bytes: int, max_packets: int, deadline: Deadline) -> None:
        self._bytes = file_bytes + file_bytes // 8 + 65_536
        self._packets = max_packets
        self._deadline = deadline

    def spend(self, size: int) -> None:
        """Raises WorkLimitError."""
        self._deadline.check()
        self._packets -= 1
        self._bytes -= size
        if self._packets < 0:
            raise WorkLimitError("packets")
        if self._bytes < 0:
            raise WorkLimitError("bytes")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a header says, in seconds; None where it says nothing. Never trusted, only compared."""

    shown: float | None
    """Of the whole: an MP4's edit list can make it longer or shorter than its tracks."""
    stored: float | None
    """Of the longest track: what must be in the file."""

    def check_limit(self, max_seconds: float, subject: Subject) -> None:
        """Raises `<kind>_too_long`."""
        subject.check_length(max(self.shown or 0.0, self.stored or 0.0), max_seconds)

    def check_complete(self, seconds: float, subject: Subject) -> None:
        """Raises `<kind>_damaged` where clearly less was found; encoders' padding is no more than 0.15 s."""
        if self.stored is not None and seconds < 0.95 * self.stored - 0.15:
            raise subject.damaged("truncated")


NO_CLAIM = Claim(None, None)


def read_claim(container: InputContainer) -> Claim:
    tracks = [
        float(stream.duration * stream.time_base)
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.duration and stream.time_base
    ]
    shown = container.duration / av.time_base if container.duration else None
    return Claim(shown, max(tracks) if tracks else shown)
