from __future__ import annotations

import numpy as np
import pytest
import torch

from app.encoders.sequence import SegmentBuilder, SequenceMedia, Video, join, text_segment
from app.encoders.tmrope import MediaPositions, audio_token_count, position_ids, rope_tables
from app.encoders.vision_input import Patches
from tests.encoders.reference import TOKENS, interleaved_placeholders, rope_index

BUILD = SegmentBuilder(TOKENS, 2)


def test_positions_equal_transformers_over_many_random_layouts():
    rng = np.random.default_rng(0)
    for case in range(300):
        audio_in_video = bool(case % 2)
        sequence = _random_sequence(rng, audio_in_video)
        assert np.array_equal(_ours(sequence), _reference(sequence)), case


@pytest.mark.parametrize("seconds_per_grid", [0.04, 1 / 3, 0.6666666, 1.0, 2.0, 7.3])
def test_positions_of_a_long_video_with_sound(seconds_per_grid):
    segment = BUILD.video_with_sound(_video((9, 4, 6), seconds_per_grid), np.zeros((128, 1700)))
    sequence = join([1, 2, 3], [segment, text_segment([5, 6])], [9])
    assert np.array_equal(_ours(sequence), _reference(sequence))


def test_the_prefix_of_a_video_with_sound_may_be_empty():
    sequence = join([], [BUILD.video_with_sound(_video((2, 4, 4), 1.0), np.zeros((128, 30)))])
    assert np.array_equal(_ours(sequence), _reference(sequence))


def test_interleaving_equals_the_processor():
    rng = np.random.default_rng(1)
    for _ in range(200):
        grid = (int(rng.integers(1, 12)), 2 * int(rng.integers(1, 4)), 2 * int(rng.integers(1, 4)))
        seconds = float(rng.choice([0.2, 0.5, 1.0, 2.0, rng.uniform(0.02, 5)]))
        frames = int(rng.integers(3, 2500))
        segment = BUILD.video_with_sound(_video(grid, seconds), np.zeros((128, frames)))
        names = {
            TOKENS.vision_start: "<vision_bos>",
            TOKENS.audio_start: "<audio_bos>",
            TOKENS.video: "<video>",
            TOKENS.audio: "<audio>",
            TOKENS.audio_end: "<audio_eos>",
            TOKENS.vision_end: "<vision_eos>",
        }
        expected = interleaved_placeholders(grid, seconds, audio_token_count(frames))
        assert [names[token] for token in segment.ids.tolist()] == expected


def test_media_that_do_not_match_the_placeholders_are_refused():
    ids = join([1], [BUILD.image(_patches((1, 4, 4)))]).ids
    for media in (MediaPositions(), MediaPositions(image_grids=[(1, 4, 8)])):
        with pytest.raises(ValueError, match="do not match"):
            position_ids(ids, media, TOKENS, 2)


def test_rope_tables_pick_each_section_from_its_axis():
    inv_freq = tuple((1.0 / 1e6 ** (np.arange(0, 32, 2) / 32)).tolist())
    positions = np.random.default_rng(2).integers(0, 900, (3, 50))
    cos, sin = rope_tables(positions, inv_freq, (4, 6, 6))
    angles = torch.from_numpy(positions).float()[..., None] * torch.tensor(inv_freq)
    full = torch.cat([angles, angles], -1)
    for table, function in ((cos, torch.cos), (sin, torch.sin)):
        parts = function(full).split([4, 6, 6] * 2, dim=-1)
        expected = torch.cat([part[axis % 3] for axis, part in enumerate(parts)], -1)[:, :16]
        assert np.abs(table - expected.numpy()).max() < 1e-6


def test_rope_tables_without_sections_use_one_axis():
    cos, sin = rope_tables(np.broadcast_to(np.arange(5), (3, 5)), (1.0, 0.5), None)
    angles = np.arange(5)[:, None] * np.array([1.0, 0.5])
    assert np.allclose(cos, np.cos(angles))
    assert np.allclose(sin, np.sin(angles))


# --------------------------------------------------------------------------- helpers
def _patches(grid):
    return Patches(np.zeros((0, 1176), np.float32), grid)


def _video(grid, seconds_per_grid):
    return Video(_patches(grid), seconds_per_grid)


def _random_sequence(rng, audio_in_video):
    """Up to four media in any order, text of 0-6 tokens before, between and after."""
    sides = lambda: 2 * int(rng.integers(1, 6))  # noqa: E731
    segments = [text_segment([1] * int(rng.integers(0, 6)))]
    for kind in rng.choice(["image", "audio", "video"], size=int(rng.integers(1, 5))):
        mel = np.zeros((128, int(rng.integers(3, 900))))
        video = _video((int(rng.integers(1, 9)), sides(), sides()), float(rng.choice([0.5, 1.0, rng.uniform(0.05, 4)])))
        if kind == "image":
            segments.append(BUILD.image(_patches((1, sides(), sides()))))
        elif kind == "audio":
            segments.append(BUILD.audio(mel))
        elif audio_in_video:
            segments.append(BUILD.video_with_sound(video, mel))
        else:
            segments.append(BUILD.video(video))
        segments.append(text_segment([2] * int(rng.integers(0, 4))))
    return join([3] * int(rng.integers(0, 4)), segments)


def _ours(sequence):
    return position_ids(sequence.ids, sequence.media.positions(), TOKENS, 2)


def _reference(sequence):
    media: SequenceMedia = sequence.media
    grids = lambda patches: torch.tensor([one.grid for one in patches]) if patches else None  # noqa: E731
    return rope_index(
        TOKENS,
        2,
        sequence.ids,
        image_grid_thw=grids(media.images),
        video_grid_thw=grids([video.patches for video in media.videos]),
        use_audio_in_video=media.audio_in_video,
        audio_seqlens=torch.tensor([sound.shape[1] for sound in media.sounds]),
        second_per_grids=torch.tensor([video.seconds_per_grid for video in media.videos]),
    )
