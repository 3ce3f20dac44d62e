"""The towers' training code: batched towers equal transformers', views hide what they should, averages converge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from app.domain import UInt8Array
from app.encoders.audio_input import log_mel
from app.encoders.manifest import VisionSpec
from app.encoders.vision_input import image_patches
from app.training.towers.audio_batch import AudioBatch, audio_spec, new_audio_encoder
from app.training.towers.heart_clips import HEART_CLASSES, ClipSet, augmented_mels
from app.training.towers.optimisation import batches, update_average, warmup_cosine
from app.training.towers.store import AUDIO_CONFIG, MAX_PIXELS, MIN_PIXELS, VISION_CONFIG, rescale_output
from app.training.towers.views import blended_view, foreign_view, mild_view, plain_view, strong_view
from app.training.towers.vision_batch import VisionBatch, normalise, vision_spec
from app.training.towers.vision_init import new_vision_encoder


@pytest.fixture(scope="module")
def vision() -> VisionBatch:
    encoder = new_vision_encoder(VISION_CONFIG, 1)
    return VisionBatch(encoder, vision_spec(encoder, MIN_PIXELS, MAX_PIXELS)).eval()


@pytest.fixture(scope="module")
def audio() -> AudioBatch:
    encoder = new_audio_encoder(AUDIO_CONFIG, 1)
    return AudioBatch(encoder, audio_spec(encoder)).eval()


@pytest.mark.parametrize(("height", "width"), [(280, 280), (252, 280), (308, 252), (56, 84)])
def test_batched_vision_equals_transformers_on_the_products_patches(
    vision: VisionBatch, height: int, width: int
) -> None:
    rng = np.random.default_rng(height * width)
    images = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    spec: VisionSpec = vision.spec.model_copy(update={"max_pixels": 2 * MAX_PIXELS})
    with torch.no_grad():
        ours = vision(normalise(torch.from_numpy(images).permute(0, 3, 1, 2).float()))
        for image, tokens in zip(images, ours, strict=True):
            patches = image_patches(image, spec)
            assert patches.grid == (1, height // 14, width // 14)
            theirs = vision.encoder(torch.from_numpy(patches.values), grid_thw=torch.tensor([patches.grid]))
            torch.testing.assert_close(tokens, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [57, 200, 245, 600])
def test_batched_audio_equals_transformers(audio: AudioBatch, frames: int) -> None:
    mels = torch.from_numpy(np.random.default_rng(frames).normal(0, 1, (2, 128, frames)).astype(np.float32))
    lengths = torch.tensor([frames])
    after = (lengths - 1) // 2 + 1
    with torch.no_grad():
        for mel, tokens in zip(mels, audio(mels), strict=True):
            theirs = audio.encoder(mel, feature_lens=lengths, aftercnn_lens=after).last_hidden_state
            torch.testing.assert_close(tokens, theirs, atol=2e-5, rtol=1e-4)


def test_rescaling_multiplies_every_token(vision: VisionBatch) -> None:
    images = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        before = vision(images)
        rescale_output(vision.encoder.merger.mlp[2], 3.0)
        torch.testing.assert_close(vision(images), 3 * before)


@pytest.fixture
def picture() -> UInt8Array:
    y, x = np.mgrid[:200, :240]
    return np.asarray(127 + 90 * np.sin(x / 40) * np.cos(y / 30), np.uint8)


@pytest.mark.parametrize("change", [mild_view, strong_view])
def test_views_differ_keep_their_side_and_come_again_from_the_same_seed(
    change: Callable[[UInt8Array, np.random.Generator, int], UInt8Array], picture: UInt8Array
) -> None:
    first = [change(picture, np.random.default_rng(seed), 96) for seed in range(6)]
    again = [change(picture, np.random.default_rng(seed), 96) for seed in range(6)]
    assert all(view.shape == (96, 96) and view.dtype == np.uint8 for view in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({view.tobytes() for view in first}) == 6


def test_mild_views_stay_nearer_to_the_picture_than_strong_ones(picture: UInt8Array) -> None:
    plain = plain_view(picture, 96).astype(float)
    far = [
        np.mean([np.abs(change(picture, np.random.default_rng(seed), 96) - plain).mean() for seed in range(30)])
        for change in (mild_view, strong_view)
    ]
    assert 1 < far[0] < far[1] / 2


def test_a_blend_holds_both_pictures() -> None:
    dark, light = np.full((8, 8), 20, np.uint8), np.full((8, 8), 220, np.uint8)
    blends = {int(blended_view(dark, light, np.random.default_rng(seed))[0, 0]) for seed in range(20)}
    assert len(blends) > 10
    assert min(blends) >= 70
    assert max(blends) <= 170


def test_foreign_pictures_are_of_every_kind() -> None:
    photos = (np.random.default_rng(0).integers(0, 256, (80, 90), dtype=np.uint8),)
    rng = np.random.default_rng(3)
    pictures = [foreign_view(rng, photos, 64) for _ in range(40)]
    assert all(picture.shape == (64, 64) and picture.dtype == np.uint8 for picture in pictures)
    spreads = [float(picture.std()) for picture in pictures]
    assert min(spreads) < 10
    assert max(spreads) > 50


def test_disturbed_sounds_keep_their_labels_and_foreign_ones_get_their_own(audio: AudioBatch) -> None:
    seconds = np.arange(16_000) / 16_000
    waves = tuple(np.sin(2 * np.pi * hertz * seconds).astype(np.float32) for hertz in (80, 200))
    mels = augmented_mels(ClipSet(waves, np.array([0, 3])), audio.spec, per_clip=20, seed=0)
    other = HEART_CLASSES.index("other")
    assert mels.labels[:40].tolist() == [0, 3] * 20
    assert set(mels.labels[40:].tolist()) == {other}
    np.testing.assert_array_equal(mels.mels[0], log_mel(waves[0], audio.spec))
    assert {mel.shape[0] for mel in mels.mels} == {128}
    assert len({mel.shape[1] for mel in mels.mels[:40]}) > 5  # other tempos, other lengths


def test_every_index_comes_once_before_any_comes_again() -> None:
    drawn = np.concatenate(list(batches(10, 6, 5, np.random.default_rng(0))))
    assert len(drawn) == 30
    for start in range(0, 30, 10):
        assert sorted(drawn[start : start + 10].tolist()) == list(range(10))


def test_learning_rate_warms_up_and_ends_low() -> None:
    factors = [warmup_cosine(step, 1000) for step in range(1000)]
    assert factors[0] < 0.05
    assert max(factors) == pytest.approx(1, abs=0.02)
    assert factors[-1] < 0.02
    assert np.argmax(factors) == pytest.approx(60, abs=2)


def test_average_follows_the_weights() -> None:
    average, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for step in range(3000):
        update_average(average, model, step)
    torch.testing.assert_close(average.weight, model.weight)
