"""The audio tower over a batch of log-mel clips of one length, with the arithmetic of `Qwen2_5OmniAudioEncoder`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from app.encoders.audio_input import chunk_feeds
from app.encoders.manifest import AudioSpec
from app.encoders.tmrope import audio_token_count


def audio_spec(encoder: Qwen2_5OmniAudioEncoder) -> AudioSpec:
    """The spec of the encoder with Whisper's front end at 16 kHz."""
    return AudioSpec(
        num_mel_bins=encoder.config.num_mel_bins,
        n_window=encoder.config.n_window,
        out_hidden_size=encoder.config.output_dim,
        n_fft=400,
        hop_length=160,
        sampling_rate=16_000,
    )


def new_audio_encoder(config: dict[str, object], seed: int) -> Qwen2_5OmniAudioEncoder:
    """Random weights, each layer's outputs as loud as its inputs."""
    torch.manual_seed(seed)
    encoder = Qwen2_5OmniAudioEncoder(Qwen2_5OmniAudioEncoderConfig(**config))  # type: ignore[no-untyped-call]
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return encoder


class AudioBatch(nn.Module):
    """mel (batch, bins, frames) -> tokens (batch, audio_token_count(frames), out)."""

    def __init__(self, encoder: Qwen2_5OmniAudioEncoder, spec: AudioSpec) -> None:
        super().__init__()
        self.encoder: Any = encoder  # its attributes have no types
        self.spec = spec

    def forward(self, mel: Tensor) -> Tensor:
        batch, bins, frames = mel.shape
        shape = chunk_feeds(np.zeros((1, frames), np.float32), self.spec)
        chunks, _, size = shape["input_features"].shape
        padded = functional.pad(mel, (0, chunks * size - frames))
        x = padded.reshape(batch, bins, chunks, size).transpose(1, 2).reshape(batch * chunks, bins, size)
        mask = torch.from_numpy(shape["feature_mask"]).repeat(batch, 1, 1)
        bias = torch.from_numpy(shape["key_bias"]).repeat(batch, 1)[:, None, None]
        encoder = self.encoder
        x = functional.gelu(encoder.conv1(x)) * mask
        x = functional.gelu(encoder.conv2(x)).transpose(1, 2)  # (batch * chunks, size / 2, d_model)
        x = x + encoder.positional_embedding.positional_embedding[: x.shape[1]]
        for layer in encoder.layers:
            x = x + self._attend(layer, x, bias)
            x = x + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(x))))
        halves = x.reshape(len(x), -1, 2, x.shape[-1]).mean(2)
        tokens: Tensor = encoder.proj(encoder.ln_post(halves)).reshape(batch, chunks * size // 4, -1)
        return tokens[:, : audio_token_count(frames)]

    @staticmethod
    def _attend(layer: Any, x: Tensor, bias: Tensor) -> Tensor:
        attention = layer.self_attn
        normed = layer.self_attn_layer_norm(x)
        q, k, v = (
            projection(normed).reshape(*x.shape[:2], attention.num_heads, -1).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(v.dtype))
        out: Tensor = attention.out_proj(mixed.transpose(1, 2).reshape(x.shape))
        return out
