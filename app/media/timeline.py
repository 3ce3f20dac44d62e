"""Where a video's frames are, read from its packets without decoding, and which of them to decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av import VideoStream
from av.container import InputContainer

from app.media.container import PacketBudget
from app.media.subject import Subject


@dataclass(frozen=True, slots=True)
class Timeline:
    """One row per packet in decoding order; times are in units of `time_base` seconds."""

    times: Sequence[int]
    keys: Sequence[bool]
    last_duration: int
    time_base: float

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last one."""
        return (max(self.times) - min(self.times) + self.last_duration) * self.time_base


@dataclass(frozen=True, slots=True)
class Segment:
    """Packets [start, stop) begin with a key frame and lead to the frames at `wanted`, in ascending order."""

    start: int
    stop: int
    wanted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    segments: tuple[Segment, ...]
    fps: float
    """Frames that are taken per second of video."""


def scan(
    container: InputContainer, stream: VideoStream, budget: PacketBudget, max_seconds: float, subject: Subject
) -> Timeline:
    """Raises `video_too_long` once a packet is further than the limit from the first; `video_without_frames`."""
    time_base = float(stream.time_base or 0)
    times: list[int] = []
    keys: list[bool] = []
    last_duration = 0
    for packet in container.demux(stream):
        budget.spend(packet.size)
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or time is None:
            continue
        times.append(time)
        keys.append(packet.is_keyframe)
        last_duration = packet.duration or last_duration
        subject.check_length(abs(time - times[0]) * time_base, max_seconds)
    if not any(keys) or time_base <= 0:
        raise subject.invalid("without_frames")
    return Timeline(times, keys, max(last_duration, 0), time_base)


def sample(timeline: Timeline, max_frames: int) -> Sampling:
    """The frames nearest to the middles of `max_frames` equal parts; all of them where there are fewer."""
    starts = _segment_starts(timeline)
    showable = {
        time: index
        for index, (time, start) in enumerate(zip(timeline.times, starts, strict=True))
        if start is not None and time >= timeline.times[start]
    }
    chosen = _spread(sorted(showable), timeline, max_frames)
    by_start: dict[int, list[int]] = {}
    for time in chosen:
        start = starts[showable[time]]
        if start is not None:
            by_start.setdefault(start, []).append(time)
    segments = tuple(
        Segment(start, 1 + max(showable[time] for time in wanted), tuple(wanted)) for start, wanted in by_start.items()
    )
    seconds = timeline.seconds
    return Sampling(segments, len(chosen) / seconds if seconds > 0 else 1.0)


def _segment_starts(timeline: Timeline) -> list[int | None]:
    """For every packet the key frame that it is decoded from. Frames shown before their key frame lean on the one
    before it (an open group of pictures): those are not chosen."""
    starts: list[int | None] = []
    current: int | None = None
    for index, key in enumerate(timeline.keys):
        current = index if key else current
        starts.append(current)
    return starts


def _spread(times: list[int], timeline: Timeline, max_frames: int) -> list[int]:
    if len(times) <= max_frames:
        return times
    first = min(timeline.times)
    length = timeline.seconds / timeline.time_base
    middles = first + (np.arange(max_frames) + 0.5) * length / max_frames
    places = np.asarray(times, np.float64)
    return sorted({times[int(np.abs(places - middle).argmin())] for middle in middles})
