"""Trained towers <-> `models/embedded/towers`: float16 safetensors, config.json, preprocessor_config.json."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder, Qwen2_5OmniVisionEncoder

from app.encoders.manifest import AudioSpec, VisionSpec

VISION_CONFIG: dict[str, object] = {
    "depth": 3,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_heads": 6,
    "in_channels": 3,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 140,
    "out_hidden_size": 576,
    "fullatt_block_indexes": [2],
}
"""Windows of 140 pixels: four of them are exactly an image of MAX_PIXELS."""
AUDIO_CONFIG: dict[str, object] = {
    "num_mel_bins": 128,
    "d_model": 160,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 480,
    "max_source_positions": 1500,
    "n_window": 100,
    "output_dim": 576,
}
MIN_PIXELS = 56 * 56
MAX_PIXELS = 280 * 280
"""100 decoder tokens an image."""


def save_towers(
    vision: Qwen2_5OmniVisionEncoder,
    audio: Qwen2_5OmniAudioEncoder,
    specs: tuple[VisionSpec, AudioSpec],
    folder: Path,
) -> None:
    """Write the four files that `app.conversion.embedded` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tower in (("vision", vision), ("audio", audio)):
        weights = {key: value.detach().half().contiguous() for key, value in tower.state_dict().items()}
        save_file(weights, folder / f"{name}.safetensors", {"format": "pt"})
        (folder / f"{name}.safetensors").chmod(0o644)  # the library makes it private
    config = {
        "vision_config": {name: getattr(vision.config, name) for name in VISION_CONFIG},
        "audio_config": {name: getattr(audio.config, name) for name in AUDIO_CONFIG},
    }
    _write(folder / "config.json", config)
    _write(folder / "preprocessor_config.json", _preprocessor(*specs))


@torch.no_grad()
def rescale_output(last: nn.Linear, factor: float) -> None:
    """Multiply a tower's output: its last layer is linear, so this is exact."""
    last.weight.mul_(factor)
    last.bias.mul_(factor)


def _preprocessor(vision: VisionSpec, audio: AudioSpec) -> dict[str, object]:
    """One file for images and sounds, as Qwen2.5-Omni's processor keeps it."""
    seconds = 300
    samples = seconds * audio.sampling_rate
    return {
        "processor_class": "Qwen2_5OmniProcessor",
        "image_processor_type": "Qwen2VLImageProcessor",
        "feature_extractor_type": "WhisperFeatureExtractor",
        "image_mean": list(vision.image_mean),
        "image_std": list(vision.image_std),
        "min_pixels": vision.min_pixels,
        "max_pixels": vision.max_pixels,
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
        "feature_size": audio.num_mel_bins,
        "sampling_rate": audio.sampling_rate,
        "hop_length": audio.hop_length,
        "n_fft": audio.n_fft,
        "chunk_length": seconds,
        "n_samples": samples,
        "nb_max_frames": samples // audio.hop_length,
        "padding_side": "right",
        "padding_value": 0.0,
        "dither": 0.0,
        "return_attention_mask": True,
    }


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
