"""The vision tower over a batch of images of one size: what training needs, without `cu_seqlens`.

Same weights and arithmetic as `Qwen2_5OmniVisionEncoder`; images stand where the exported graph has frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniVisionEncoder

from app.encoders.manifest import VisionSpec
from app.encoders.vision_input import window_layout

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def vision_spec(encoder: Qwen2_5OmniVisionEncoder, min_pixels: int, max_pixels: int) -> VisionSpec:
    config = encoder.config
    return VisionSpec(
        patch_size=config.patch_size,
        temporal_patch_size=config.temporal_patch_size,
        spatial_merge_size=config.spatial_merge_size,
        window_size=config.window_size,
        head_dim=config.hidden_size // config.num_heads,
        out_hidden_size=config.out_hidden_size,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        image_mean=CLIP_MEAN,
        image_std=CLIP_STD,
    )


@dataclass(frozen=True, slots=True)
class _Tables:
    slots: Tensor
    cos: Tensor
    sin: Tensor
    bias: Tensor
    units: Tensor


class VisionBatch(nn.Module):
    """normalised images (batch, 3, height, width), sides multiples of 28 -> tokens (batch, h * w / 784, out)."""

    def __init__(self, encoder: Qwen2_5OmniVisionEncoder, spec: VisionSpec) -> None:
        super().__init__()
        self.encoder: Any = encoder  # its attributes have no types
        self.spec = spec
        self._full = frozenset(encoder.config.fullatt_block_indexes)

    def forward(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        tables = self._tables(height // self.spec.patch_size, width // self.spec.patch_size)
        windows, slots = tables.slots.shape
        x = self._embed(images)[:, tables.slots.clamp(min=0).reshape(-1)]  # (batch, windows * slots, hidden)
        hidden = x.shape[-1]
        everywhere = [t.reshape(1, 1, windows * slots, -1) for t in (tables.cos, tables.sin)]
        inside = [t.repeat(batch, 1, 1)[:, None] for t in (tables.cos, tables.sin)]
        for index, block in enumerate(self.encoder.blocks):
            if index in self._full:
                y = self._attend(block, x, everywhere, tables.bias.reshape(1, 1, 1, -1))
            else:
                split = x.reshape(batch * windows, slots, hidden)
                y = self._attend(block, split, inside, tables.bias.repeat(batch, 1)[:, None, None])
                y = y.reshape(batch, windows * slots, hidden)
            x = x + y
            x = x + block.mlp(block.norm2(x))
        merger = self.encoder.merger
        merged: Tensor = merger.mlp(merger.ln_q(x).reshape(batch, -1, hidden * self.spec.spatial_merge_size**2))
        return merged[:, tables.units]

    def _embed(self, images: Tensor) -> Tensor:
        """(batch, patches in merge-unit order, hidden); one image fills both slices of a temporal patch."""
        batch, channels, height, width = images.shape
        patch, merge = self.spec.patch_size, self.spec.spatial_merge_size
        h, w = height // patch, width // patch
        cut = images.reshape(batch, channels, h // merge, merge, patch, w // merge, merge, patch)
        flat = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(batch, h * w, -1)
        return functional.linear(flat, self.encoder.patch_embed.proj.weight.sum(2).flatten(1))

    @staticmethod
    def _attend(block: Any, x: Tensor, rotary: list[Tensor], bias: Tensor) -> Tensor:
        attention, rows, length = block.attn, x.shape[0], x.shape[1]
        heads = attention.num_heads
        normed = block.norm1(x)
        q, k, v = (
            layer(normed).reshape(rows, length, heads, -1).transpose(1, 2)
            for layer in (attention.q, attention.k, attention.v)
        )
        q, k = (_rotate(part, *rotary).to(v.dtype) for part in (q, k))
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(v.dtype))
        out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(rows, length, -1))
        return out

    def _tables(self, height: int, width: int) -> _Tables:
        layout = window_layout(height, width, self.spec)
        arrays = (layout.slots, layout.cos, layout.sin, layout.key_bias, layout.units)
        return _Tables(*(torch.from_numpy(array) for array in arrays))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def normalise(images: Tensor) -> Tensor:
    """(batch, 3, height, width) in 0..255 -> normalised as the product's processor does."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (images / 255 - mean) / std
