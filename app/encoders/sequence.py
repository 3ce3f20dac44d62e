"""Token sequences of Qwen2.5-Omni: segments of one medium each, put together the way its chat template does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.manifest import OmniTokens
from app.encoders.tmrope import Grid, IntArray, MediaPositions, audio_token_count, chunk_bounds, interleave
from app.encoders.vision_input import Patches

Mask = npt.NDArray[np.bool_]


class SequenceLayout(StrEnum):
    """How the segments of a case become sequences."""

    INDEPENDENT = "independent"
    """Every segment after its own prefix: an embedding depends on its own content only. Leave-one-out attribution is
    exact, and a segment seen before comes from the cache."""
    JOINT = "joint"
    """One chat turn with all media and then the text; later segments attend to earlier ones."""


@dataclass(frozen=True, slots=True)
class Video:
    """Patches of the frames; `seconds_per_grid` from one temporal patch to the next."""

    patches: Patches
    seconds_per_grid: float


@dataclass(frozen=True, slots=True)
class SequenceMedia:
    """The media of a sequence, each kind in order of appearance; sounds are mel (bins, frames)."""

    images: tuple[Patches, ...] = ()
    videos: tuple[Video, ...] = ()
    sounds: tuple[FloatArray, ...] = ()
    audio_in_video: bool = False

    def positions(self) -> MediaPositions:
        return MediaPositions(
            image_grids=[image.grid for image in self.images],
            video_grids=[video.patches.grid for video in self.videos],
            seconds_per_grid=[video.seconds_per_grid for video in self.videos],
            audio_frames=[sound.shape[1] for sound in self.sounds],
            audio_in_video=self.audio_in_video,
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """Token ids (n,) and, per embedding that is pooled from them, which tokens are its own."""

    ids: IntArray
    pools: tuple[Mask, ...]
    media: SequenceMedia = field(default_factory=SequenceMedia)


def text_segment(ids: Sequence[int]) -> Segment:
    return Segment(np.array(ids, np.int64), (np.ones(len(ids), np.bool_),))


class SegmentBuilder:
    """Writes the tokens of one medium."""

    def __init__(self, tokens: OmniTokens, merge: int) -> None:
        self._tokens = tokens
        self._merge = merge

    def image(self, patches: Patches) -> Segment:
        content = np.full(self._units(patches.grid), self._tokens.image)
        return self._vision(content, (self._tokens.image,), SequenceMedia(images=(patches,)))

    def audio(self, mel: FloatArray) -> Segment:
        content = np.full(audio_token_count(mel.shape[1]), self._tokens.audio)
        ids = np.array([self._tokens.audio_start, *content, self._tokens.audio_end], np.int64)
        return Segment(ids, (ids == self._tokens.audio,), SequenceMedia(sounds=(mel,)))

    def video(self, video: Video) -> Segment:
        content = np.full(self._units(video.patches.grid), self._tokens.video)
        return self._vision(content, (self._tokens.video,), SequenceMedia(videos=(video,)))

    def video_with_sound(self, video: Video, mel: FloatArray) -> Segment:
        """Frames and sound track interleaved in chunks of `seconds_per_chunk`. Pools: frames, then sound."""
        tokens = self._tokens
        grid = video.patches.grid
        per_patch = self._units((1, *grid[1:]))
        times = np.repeat(np.arange(grid[0]), per_patch) * video.seconds_per_grid * tokens.position_id_per_seconds
        beats = np.arange(audio_token_count(mel.shape[1]))
        size = int(tokens.position_id_per_seconds * tokens.seconds_per_chunk)
        kinds = (np.full(len(times), tokens.video), np.full(len(beats), tokens.audio))
        content = np.concatenate(interleave(kinds, (chunk_bounds(times, size), chunk_bounds(beats, size))))
        inside = np.array([tokens.audio_start, *content, tokens.audio_end])
        media = SequenceMedia(videos=(video,), sounds=(mel,), audio_in_video=True)
        return self._vision(inside, (tokens.video, tokens.audio), media)

    def _vision(self, content: IntArray, own: tuple[int, ...], media: SequenceMedia) -> Segment:
        ids = np.array([self._tokens.vision_start, *content, self._tokens.vision_end], np.int64)
        return Segment(ids, tuple(ids == token for token in own), media)

    def _units(self, grid: Grid) -> int:
        return grid[0] * grid[1] * grid[2] // self._merge**2


def join(prefix: Sequence[int], segments: Sequence[Segment], suffix: Sequence[int] = ()) -> Segment:
    """One sequence: prefix, segments, suffix. Its pools are those of the segments, in order."""
    parts = [np.array(prefix, np.int64), *(segment.ids for segment in segments), np.array(suffix, np.int64)]
    ids = np.concatenate(parts)
    media = [segment.media for segment in segments]
    return Segment(
        ids,
        tuple(_shifted_pools(segments, len(prefix), len(ids))),
        SequenceMedia(
            images=tuple(image for one in media for image in one.images),
            videos=tuple(video for one in media for video in one.videos),
            sounds=tuple(sound for one in media for sound in one.sounds),
            audio_in_video=any(one.audio_in_video for one in media),
        ),
    )


def _shifted_pools(segments: Sequence[Segment], start: int, length: int) -> Iterator[Mask]:
    for segment in segments:
        for pool in segment.pools:
            mask = np.zeros(length, np.bool_)
            mask[start : start + len(pool)] = pool
            yield mask
        start += len(segment.ids)
