"""Video bytes -> a few evenly spaced frames and the sound track: MP4, MOV and WebM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from av import AudioStream, VideoStream
from av.container import InputContainer

from app.domain import Video, Waveform
from app.errors import UnsupportedMediaError
from app.media.audio import decode_track, non_finite
from app.media.container import AUDIO_CODECS, VIDEO_CODECS, Deadline, PacketBudget, open_container, read_claim
from app.media.frames import decode_frames
from app.media.limits import MediaLimits
from app.media.pixels import check_dimensions
from app.media.quiet import quiet_libraries
from app.media.sniff import VideoFormat, sniff_video
from app.media.subject import Subject
from app.media.timeline import sample, scan

MAX_PACKETS = 60_000
"""120 s at 500 frames/s."""
_MAX_SOUND_PACKETS = 400_000


def decode_video(data: bytes, limits: MediaLimits, *, field: str = "video") -> Video:
    """At most `max_video_frames` frames, upright, one from the middle of each equal part; the sound track if any.

    `fps` is frames returned per second of video. The film is read twice, and only what leads to a chosen frame is
    decoded. Raises UnsupportedMediaError `video_unsupported`, `video_sound_unsupported`; InvalidInputError
    `video_empty`, `video_damaged` (also: cut off), `video_without_frames`, `video_shape_unsupported`;
    PayloadTooLargeError `video_too_large`, `video_too_long`, `video_too_many_pixels`, `video_too_complex`.
    """
    subject = Subject("video", field)
    subject.check_size(data, limits.max_video_bytes)
    kind = sniff_video(data)
    if kind is None:
        raise subject.unsupported("unknown")
    film = _Film(data, kind, limits, Deadline.after(limits.max_decode_seconds), subject)
    with quiet_libraries(), subject.decoding():
        return film.decode()


@dataclass(frozen=True, slots=True)
class _Film:
    """One video in memory; each pass over it opens the container again."""

    data: bytes
    kind: VideoFormat
    limits: MediaLimits
    deadline: Deadline
    subject: Subject

    def decode(self) -> Video:
        with self._open() as container:
            claim = read_claim(container)
            claim.check_limit(self.limits.max_video_seconds, self.subject)
            pictures, _ = self._streams(container)
            timeline = scan(container, pictures, self._budget(MAX_PACKETS), self.limits.max_video_seconds, self.subject)
        sound = self._sound()
        claim.check_complete(max(timeline.seconds, sound.seconds if sound else 0.0), self.subject)
        sampling = sample(timeline, self.limits.max_video_frames)
        with self._open() as container:
            pictures, _ = self._streams(container)
            frames = decode_frames(
                container,
                pictures,
                sampling.segments,
                self._budget(MAX_PACKETS),
                limits=self.limits,
                subject=self.subject,
            )
        return Video(frames, sampling.fps, sound)

    def _sound(self) -> Waveform | None:
        """None where there is no sound track or nothing in it."""
        with self._open() as container:
            _, track = self._streams(container)
            if track is None:
                return None
            budget = self._budget(_MAX_SOUND_PACKETS)
            sound = decode_track(container, track, budget, self.limits.max_video_seconds, self.subject)
        if non_finite(sound):
            raise self.subject.damaged("sound_not_finite")
        return sound if len(sound.samples) else None

    @contextmanager
    def _open(self) -> Iterator[InputContainer]:
        with open_container(
            self.data,
            self.kind,
            self.subject,
            max_seconds=self.limits.max_video_seconds,
            max_pixels=self.limits.max_video_pixels,
            deadline=self.deadline,
        ) as container:
            yield container

    def _streams(self, container: InputContainer) -> tuple[VideoStream, AudioStream | None]:
        """The first film and the first sound track, both with a decoder that we take and within the pixel limit."""
        if not container.streams.video:
            raise self.subject.invalid("without_frames")
        pictures = container.streams.video[0]
        context = pictures.codec_context
        if context is None or context.name not in VIDEO_CODECS:
            raise self.subject.unsupported("codec")
        if not context.width or not context.height:
            raise self.subject.damaged("no_dimensions")
        check_dimensions(context.width, context.height, self.limits.max_video_pixels, self.subject)
        track = container.streams.audio[0] if container.streams.audio else None
        if track is not None and (track.codec_context is None or track.codec_context.name not in AUDIO_CODECS):
            raise UnsupportedMediaError("video_sound_unsupported", field=self.subject.field)
        return pictures, track

    def _budget(self, max_packets: int) -> PacketBudget:
        return PacketBudget(len(self.data), max_packets, self.deadline)
