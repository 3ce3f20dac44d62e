from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniVisionEncoder
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as reference_resize

from app.encoders.vision_input import (
    Patches,
    collect_units,
    image_patches,
    smart_resize,
    video_patches,
    window_feeds,
    window_layout,
)
from app.errors import InvalidInputError
from tests.encoders.reference import VISION, image_processor

SIZES = [(448, 448), (56, 56), (28, 700), (31, 45), (1000, 733), (10, 1500), (333, 224), (1, 1), (2000, 90)]


def _pixels(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_image_patches_equal_the_image_processor(height, width):
    pixels = _pixels(height, width)
    expected = image_processor()(images=[pixels], return_tensors="np", input_data_format="channels_last")
    patches = image_patches(pixels, VISION)
    assert list(patches.grid) == expected["image_grid_thw"][0].tolist()
    assert np.array_equal(patches.values, expected["pixel_values"])


def test_smart_resize_equals_transformers():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        height, width = (int(side) for side in np.exp(rng.uniform(0, 8.5, 2)))
        if max(height, width) <= 200 * min(height, width):
            assert smart_resize(height, width, 28, 3136, 200_704) == reference_resize(height, width, 28, 3136, 200_704)


def test_an_extreme_aspect_ratio_is_refused():
    with pytest.raises(InvalidInputError) as caught:
        image_patches(_pixels(2, 500), VISION)
    assert caught.value.code == "image_aspect_ratio"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_video_patches_are_those_of_the_frames_with_the_last_one_repeated(count):
    frames = _pixels(count, 112, 140)
    patches = video_patches(frames, VISION, 10**9)
    filled = frames if count % 2 == 0 else np.concatenate([frames, frames[-1:]])
    expected, grid = image_processor()._preprocess(
        list(filled),
        do_resize=True,
        size={"shortest_edge": VISION.min_pixels, "longest_edge": VISION.max_pixels},
        resample=3,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=VISION.image_mean,
        image_std=VISION.image_std,
        patch_size=14,
        temporal_patch_size=2,
        merge_size=2,
        input_data_format="channels_last",
    )
    assert patches.grid == grid
    assert np.array_equal(patches.values, expected)


def test_a_long_video_stays_within_its_pixel_budget():
    patches = video_patches(_pixels(24, 480, 640), VISION, 512 * 28 * 28)
    t, h, w = patches.grid
    assert t == 12
    assert t * h * w // 4 <= 512


@pytest.mark.parametrize("window", [112, 140])
@pytest.mark.parametrize("grid", [(4, 4), (10, 14), (32, 32), (2, 50), (16, 18)])
def test_windows_equal_the_vision_tower(grid, window):
    """Every window holds exactly the patches that transformers groups, with the rotary tables of their place."""
    tower = _tower(window)
    thw = torch.tensor([[1, *grid]])
    order, bounds = tower.get_window_index(thw)
    bounds = np.unique(bounds)
    patches_in_order = (order[:, None] * 4 + torch.arange(4)).reshape(-1).numpy()
    expected = [set(patches_in_order[a:b].tolist()) for a, b in pairwise(bounds)]
    layout = window_layout(*grid, VISION.model_copy(update={"window_size": window}))
    assert [set(slots[slots >= 0].tolist()) for slots in layout.slots] == expected
    angles = tower.rot_pos_emb(thw)
    angles = torch.cat([angles, angles], -1)[np.maximum(layout.slots, 0)]
    filled = layout.slots >= 0
    assert np.abs(layout.cos - angles.cos().numpy())[filled].max() < 1e-5
    assert np.abs(layout.sin - angles.sin().numpy())[filled].max() < 1e-5
    assert (layout.key_bias[filled] == 0).all()
    assert (layout.key_bias[~filled] < -1e8).all()


def test_units_come_back_in_raster_order():
    grid = (2, 10, 14)
    values = np.arange(2 * 140, dtype=np.float32)[:, None]
    feeds = window_feeds(Patches(values, grid), VISION)
    first_of_unit = feeds["pixel_values"][:, :, ::4].reshape(2, -1, 1)
    assert np.array_equal(collect_units(first_of_unit, grid, VISION)[:, 0], values[::4, 0])


def _tower(window):
    config = Qwen2_5OmniThinkerConfig(
        vision_config={
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 8,
            "num_heads": 4,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": window,
            "out_hidden_size": 8,
            "fullatt_block_indexes": [0],
        }
    )
    return Qwen2_5OmniVisionEncoder(config.vision_config)
