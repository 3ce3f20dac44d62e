"""TMRoPE: the time-aligned multimodal rotary positions of Qwen2.5-Omni, and the cos/sin tables of any decoder.

Follows `get_rope_index` and `get_chunked_index` of transformers' Qwen2.5-Omni (arXiv 2503.20215, section 2.2), integer
for integer: text and audio advance by one on all three axes, a vision block has (time, row, column) axes, and a video
with its sound track is interleaved in chunks of `seconds_per_chunk`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.manifest import OmniTokens

IntArray = npt.NDArray[np.int64]
_T = TypeVar("_T")
Grid = tuple[int, int, int]
"""(temporal, height, width) in patches, before the spatial merge."""


@dataclass(frozen=True, slots=True)
class MediaPositions:
    """The media of one sequence, each kind in order of appearance."""

    image_grids: Sequence[Grid] = ()
    video_grids: Sequence[Grid] = ()
    seconds_per_grid: Sequence[float] = ()
    """Seconds from one temporal patch of a video to the next, one per video."""
    audio_frames: Sequence[int] = ()
    """Mel frames, one per audio; the sound track of a video counts as an audio."""
    audio_in_video: bool = False
    """Every video carries its sound track, interleaved."""


def audio_token_count(mel_frames: int) -> int:
    """Tokens that the audio tower gives for this many mel frames: about 25 a second."""
    return ((mel_frames - 1) // 2 + 1 - 2) // 2 + 1


def position_ids(input_ids: npt.ArrayLike, media: MediaPositions, tokens: OmniTokens, merge: int) -> IntArray:
    """(3, seq) time, row and column of every token of one sequence (seq,); `merge` is the spatial merge size.

    ValueError where the placeholders of the sequence and `media` do not match.
    """
    ids = np.asarray(input_ids, dtype=np.int64)
    blocks = list(_blocks(ids, _MediaBlocks(media, tokens, merge)))
    if sum(block.shape[1] for block in blocks) != len(ids):
        raise ValueError("placeholder tokens and media do not match")
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((3, 0), np.int64)


def chunk_bounds(values: npt.NDArray[Any], tokens_per_chunk: int) -> list[tuple[int, int]]:
    """(start, end) of successive chunks of increasing `values`; chunk n ends at the first value >= n * size.

    A gap of more than one chunk closes one chunk per following element, as transformers does.
    """
    bounds: list[tuple[int, int]] = []
    start = 0
    for index, value in enumerate(values.tolist()):
        if value >= (len(bounds) + 1) * tokens_per_chunk:
            bounds.append((start, index))
            start = index
    return [*bounds, (start, len(values))]


def video_times(grid_t: int, seconds_per_grid: float, position_id_per_seconds: int) -> IntArray:
    """(grid_t,) time index of every temporal patch; float32 arithmetic, truncated."""
    seconds = np.arange(grid_t).astype(np.float32) * np.float32(seconds_per_grid)
    return (seconds * np.float32(position_id_per_seconds)).astype(np.int64)


def rope_tables(
    positions: IntArray, inv_freq: Sequence[float], sections: Sequence[int] | None
) -> tuple[FloatArray, FloatArray]:
    """cos and sin (seq, head_dim / 2) for positions (3, seq); `sections` None: one axis, the first."""
    angles = positions[..., None].astype(np.float32) * np.asarray(inv_freq, np.float32)  # (3, seq, head_dim / 2)
    if sections is None:
        chosen = angles[0]
    else:
        parts = np.split(angles, np.cumsum(sections)[:-1], axis=-1)
        chosen = np.concatenate([part[axis % 3] for axis, part in enumerate(parts)], axis=-1)
    return np.cos(chosen), np.sin(chosen)


# --------------------------------------------------------------------------- blocks
def _blocks(ids: IntArray, media: _MediaBlocks) -> Iterator[IntArray]:
    """Position blocks (3, n) in sequence order; a block starts one past the maximum of the block before it."""
    start = cursor = 0
    while start < len(ids):
        first = media.next_placeholder(ids, start)
        paired = first < len(ids) and media.is_paired(ids[first])
        text = first - start - paired
        yield _run(cursor, text)
        cursor += text
        if paired:  # the two tokens that open a video with sound share one position
            yield _run(cursor - 1, 1)
        start = first
        if first < len(ids):
            content = media.content(ids[first], cursor)
            yield from content
            start += sum(block.shape[1] for block in content)
            cursor = int(content[-1].max()) + 1
            if paired:  # and so do the two that close it: the second counts as text
                yield _run(cursor, 1)
                start += 1


class _MediaBlocks:
    """Hands out the position blocks of the media of one sequence, in order of appearance."""

    def __init__(self, media: MediaPositions, tokens: OmniTokens, merge: int) -> None:
        self._media, self._tokens, self._merge = media, tokens, merge
        self._placeholders = (tokens.image, tokens.video, tokens.audio)
        self._taken = dict.fromkeys(self._placeholders, 0)

    def next_placeholder(self, ids: IntArray, start: int) -> int:
        """Index of the next medium at or after `start`; len(ids) where only text is left."""
        found = np.flatnonzero(np.isin(ids[start:], self._placeholders))
        return start + int(found[0]) if len(found) else len(ids)

    def is_paired(self, token: int) -> bool:
        return self._media.audio_in_video and token == self._tokens.video

    def content(self, token: int, cursor: int) -> list[IntArray]:
        """The blocks of the medium whose placeholder `token` comes next, starting at position `cursor`."""
        if token == self._tokens.audio:
            return [self._sound(cursor)]
        if token == self._tokens.image:
            grid = self._take(self._tokens.image, self._media.image_grids)
            return [_vision(cursor, grid, np.arange(grid[0]) * self._tokens.position_id_per_seconds, self._merge)]
        frames = self._frames(cursor)
        if not self._media.audio_in_video:
            return [frames]
        sound = self._sound(cursor)
        size = int(self._tokens.position_id_per_seconds * self._tokens.seconds_per_chunk)
        bounds = [chunk_bounds(block[0] - cursor, size) for block in (frames, sound)]
        return [part for part in interleave((frames, sound), bounds) if part.shape[1]]

    def _sound(self, cursor: int) -> IntArray:
        frames = self._take(self._tokens.audio, self._media.audio_frames)
        return _run(cursor, audio_token_count(frames))

    def _frames(self, cursor: int) -> IntArray:
        seconds = self._media.seconds_per_grid[self._taken[self._tokens.video]]
        grid = self._take(self._tokens.video, self._media.video_grids)
        return _vision(cursor, grid, video_times(grid[0], seconds, self._tokens.position_id_per_seconds), self._merge)

    def _take(self, token: int, media: Sequence[_T]) -> _T:
        index = self._taken[token]
        if index >= len(media):
            raise ValueError("placeholder tokens and media do not match")
        self._taken[token] = index + 1
        return media[index]


def interleave(arrays: Sequence[IntArray], bounds: Sequence[Sequence[tuple[int, int]]]) -> list[IntArray]:
    """Columns of several arrays (..., n), chunk by chunk in turn."""
    rounds = range(max(len(chunks) for chunks in bounds))
    return [
        array[..., slice(*chunks[turn])]
        for turn in rounds
        for array, chunks in zip(arrays, bounds, strict=True)
        if turn < len(chunks)
    ]


def _run(start: int, length: int) -> IntArray:
    return np.broadcast_to(np.arange(start, start + length, dtype=np.int64), (3, length))


def _vision(start: int, grid: Grid, times: IntArray, merge: int) -> IntArray:
    """(3, t * h/merge * w/merge) of one image or video."""
    rows, columns = grid[1] // merge, grid[2] // merge
    axes = np.meshgrid(times, np.arange(rows), np.arange(columns), indexing="ij")
    return np.stack([axis.reshape(-1) for axis in axes]).astype(np.int64) + start
