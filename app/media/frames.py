"""Decodes the sampled frames of a video: from the key frame before each to the frame itself, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from av import Packet, VideoFrame, VideoStream
from av.container import InputContainer

from app.domain import UInt8Array
from app.media.container import PacketBudget, prepare_decoder
from app.media.limits import MediaLimits
from app.media.pixels import check_dimensions
from app.media.subject import Subject
from app.media.timeline import Segment

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]


def decode_frames(
    container: InputContainer,
    stream: VideoStream,
    segments: Iterable[Segment],
    budget: PacketBudget,
    *,
    limits: MediaLimits,
    subject: Subject,
) -> UInt8Array:
    """(n, height, width, 3) RGB in order of time; frames of another size than the first are scaled to it."""
    prepare_decoder(stream, limits.max_video_pixels)
    packets = (packet for packet in container.demux(stream) if packet.size and _time(packet) is not None)
    position = 0
    pictures: list[tuple[int, UInt8Array]] = []
    size: tuple[int, int] | None = None
    for segment in sorted(segments, key=lambda item: item.start):
        for packet in islice(packets, segment.start - position):
            budget.spend(packet.size)
        feed = islice(packets, segment.stop - segment.start)
        position = segment.stop
        for time, frame in _decode_segment(stream, feed, segment, budget):
            check_dimensions(frame.width, frame.height, limits.max_video_pixels, subject)
            size = size or _kept_size(frame, limits.kept_video_pixels)
            pictures.append((time, _picture(frame, size, subject)))
    if not pictures:
        raise subject.invalid("without_frames")
    pictures.sort(key=lambda item: item[0])
    return np.stack([picture for _, picture in pictures])


def _time(packet: VideoPacket) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


def _decode_segment(
    stream: VideoStream, packets: Iterable[VideoPacket], segment: Segment, budget: PacketBudget
) -> list[tuple[int, VideoFrame]]:
    """The decoded frame nearest to each wanted time: a codec may hold frames that it never shows (VP8)."""
    nearest: dict[int, VideoFrame] = {}
    for frame in _frames(stream, packets, budget):
        if frame.pts is None:
            continue
        for wanted in segment.wanted:
            best = nearest.get(wanted)
            if best is None or abs(frame.pts - wanted) < abs((best.pts or 0) - wanted):
                nearest[wanted] = frame
    stream.codec_context.flush_buffers()
    return sorted(nearest.items())


def _frames(stream: VideoStream, packets: Iterable[VideoPacket], budget: PacketBudget) -> Iterator[VideoFrame]:
    context = stream.codec_context
    for packet in packets:
        budget.spend(packet.size)
        yield from context.decode(packet)
    yield from context.decode(None)


def _kept_size(frame: VideoFrame, kept_pixels: int) -> tuple[int, int]:
    """(width, height), even numbers, with at most about `kept_pixels`."""
    scale = min(1.0, (kept_pixels / (frame.width * frame.height)) ** 0.5)
    if scale == 1.0:
        return frame.width, frame.height
    return max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)


def _picture(frame: VideoFrame, size: tuple[int, int], subject: Subject) -> UInt8Array:
    """RGB, upright. A frame that the decoder could only guess is `video_damaged`."""
    if frame.is_corrupt:
        raise subject.damaged("corrupt_frame")
    scaled = frame.reformat(width=size[0], height=size[1], format="rgb24", interpolation="AREA")
    pixels: UInt8Array = np.rot90(scaled.to_ndarray(), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(pixels)
