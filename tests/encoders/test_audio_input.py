from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from app.encoders.audio_input import chunk_feeds, collect_chunks, log_mel, mel_filters
from app.encoders.tmrope import audio_token_count
from tests.encoders.reference import AUDIO, feature_extractor

EXTRACTOR = feature_extractor(40)


def test_mel_filters_equal_transformers():
    expected = mel_filter_bank(201, 128, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    assert np.abs(mel_filters(AUDIO) - expected).max() < 1e-12


@pytest.mark.parametrize("samples", [480, 481, 640, 1600, 15_999, 48_000, 160_000, 500_123])
@pytest.mark.parametrize("kind", ["noise", "tone", "quiet", "click_at_the_end", "silence"])
def test_log_mel_equals_the_feature_extractor(samples, kind):
    wave = _wave(samples, kind)
    expected = EXTRACTOR([wave], sampling_rate=16_000, return_tensors="np", return_attention_mask=True)
    frames = int(expected["attention_mask"][0].sum())
    ours = log_mel(wave, AUDIO)
    assert ours.shape == (128, frames)
    assert ours.dtype == np.float32
    assert np.abs(ours - expected["input_features"][0][:, :frames]).max() <= 1e-4


@pytest.mark.parametrize("samples", [1, 40, 200, 201])
def test_a_very_short_clip_still_gives_a_token(samples):
    mel = log_mel(_wave(samples, "noise"), AUDIO)
    assert audio_token_count(mel.shape[1]) == 1
    assert np.isfinite(mel).all()


def test_ten_seconds_take_well_under_30_ms():
    wave = _wave(160_000, "noise")
    log_mel(wave, AUDIO)
    times = []
    for _ in range(5):
        start = time.thread_time()
        log_mel(wave, AUDIO)
        times.append(time.thread_time() - start)
    assert min(times) < 0.03


@pytest.mark.parametrize("frames", [3, 57, 199, 200, 201, 733, 1000])
def test_token_count_and_chunks_equal_the_audio_tower(frames):
    lengths, tokens = Qwen2_5OmniAudioEncoder._get_feat_extract_output_lengths(None, torch.tensor([frames]))
    assert audio_token_count(frames) == int(tokens[0])
    mel = np.random.default_rng(frames).standard_normal((128, frames)).astype(np.float32)
    feeds = chunk_feeds(mel, AUDIO)
    back = feeds["input_features"].transpose(1, 0, 2).reshape(128, -1)
    assert np.array_equal(back[:, :frames], mel)
    assert not back[:, frames:].any()
    assert feeds["feature_mask"].sum() == frames
    assert (feeds["key_bias"] == 0).sum() == int(lengths[0])
    output = np.zeros((len(feeds["key_bias"]), 50, 8), np.float32)
    assert collect_chunks(output, frames).shape == (int(tokens[0]), 8)


def _wave(samples, kind):
    rng = np.random.default_rng(samples)
    time_s = np.arange(samples) / 16_000
    waves = {
        "noise": rng.standard_normal(samples) * 0.1,
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time_s) + rng.standard_normal(samples) * 1e-3,
        "quiet": rng.standard_normal(samples) * 1e-4,
        "click_at_the_end": rng.standard_normal(samples) * 1e-5 + (np.arange(samples) == samples - 1),
        "silence": np.zeros(samples),
    }
    return waves[kind].astype(np.float32)
