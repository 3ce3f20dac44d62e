"""The vision and audio towers against transformers, number by number in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.encoders.manifest import Manifest
from tests.conversion.host import run_audio, run_vision

TOLERANCE = 1e-4
GRIDS = ((1, 2, 2), (1, 10, 14), (1, 16, 16), (1, 32, 32), (1, 6, 30), (2, 18, 10), (3, 8, 12))
"""(temporal, height, width) in patches: one unit, ragged windows, whole windows, a strip, and two videos."""
LENGTHS = (57, 199, 200, 201, 400, 733, 3000)
"""Mel frames: under a chunk, around its edge, whole chunks, ragged, 30 seconds."""


def patches(grid: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((int(np.prod(grid)), 1176)).astype(np.float32)


def mel(length: int) -> np.ndarray:
    return np.random.default_rng(length).standard_normal((128, length)).astype(np.float32)


@torch.no_grad()
def vision_reference(model, x: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    return model.visual(torch.from_numpy(x), grid_thw=torch.tensor([grid])).numpy()


@torch.no_grad()
def audio_reference(model, x: np.ndarray) -> np.ndarray:
    frames = torch.tensor([x.shape[1]])
    after_convolution, _ = model.audio_tower._get_feat_extract_output_lengths(frames)
    output = model.audio_tower(torch.from_numpy(x), feature_lens=frames, aftercnn_lens=after_convolution)
    return output.last_hidden_state.numpy()


@pytest.mark.parametrize("grid", GRIDS)
def test_vision_equals_transformers(grid, converted, reference):
    folder = converted("omni")
    x = patches(grid)
    got = run_vision(folder / "vision.onnx", Manifest.load(folder).vision, x, grid)
    assert np.abs(got - vision_reference(reference("omni"), x, grid)).max() <= TOLERANCE


def test_frames_of_a_video_do_not_mix(converted):
    folder = converted("omni")
    spec = Manifest.load(folder).vision
    x = patches((2, 10, 14))
    both = run_vision(folder / "vision.onnx", spec, x, (2, 10, 14))
    second = run_vision(folder / "vision.onnx", spec, x[140:], (1, 10, 14))
    assert np.abs(both[35:] - second).max() <= 1e-5


@pytest.mark.parametrize("length", LENGTHS)
def test_audio_equals_transformers(length, converted, reference):
    folder = converted("omni")
    x = mel(length)
    got = run_audio(folder / "audio.onnx", Manifest.load(folder).audio, x)
    assert np.abs(got - audio_reference(reference("omni"), x)).max() <= TOLERANCE


def test_thinker_alone_and_inside_the_full_model_are_the_same(converted):
    """The full folder differs only in the prefix of its tensor names and in its config."""
    alone, inside = (Manifest.load(converted(name)) for name in ("thinker", "omni"))
    graphs = [name for name in alone.files if ".onnx" in name or name.endswith(".npy")]
    assert len(graphs) == 7
    assert {name: alone.files[name] for name in graphs} == {name: inside.files[name] for name in graphs}
