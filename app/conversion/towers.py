"""What Qwen2.5-Omni's towers look like: specs for the manifest, tensor names and shapes for the graphs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.conversion.architecture import thinker_prefix, unsupported
from app.conversion.checkpoint import Checkpoint, invalid, read_json
from app.encoders.manifest import AudioSpec, OmniTokens, VisionSpec

PREPROCESSOR_NAME = "preprocessor_config.json"
CHANNELS = 3
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class VisionLayout:
    """The vision tower. `prefix` ends with a dot."""

    spec: VisionSpec
    prefix: str
    depth: int
    width: int
    intermediate: int
    heads: int
    full_attention: frozenset[int]
    """Blocks that attend over the whole frame instead of a window."""

    @property
    def slots(self) -> int:
        """Patches of one window, padding included."""
        return (self.spec.window_size // self.spec.patch_size) ** 2

    @property
    def patch_width(self) -> int:
        return CHANNELS * self.spec.temporal_patch_size * self.spec.patch_size**2

    @property
    def merged_width(self) -> int:
        return self.width * self.spec.spatial_merge_size**2

    def tensors(self) -> Shapes:
        spec, width = self.spec, self.width
        shapes: Shapes = {
            "patch_embed.proj.weight": (width, CHANNELS, spec.temporal_patch_size, spec.patch_size, spec.patch_size),
            "merger.ln_q.weight": (width,),
            **_linear("merger.mlp.0", self.merged_width, self.merged_width),
            **_linear("merger.mlp.2", spec.out_hidden_size, self.merged_width),
        }
        for index in range(self.depth):
            block = f"blocks.{index}."
            shapes |= {f"{block}norm1.weight": (width,), f"{block}norm2.weight": (width,)}
            for kind in ("q", "k", "v", "proj"):
                shapes |= _linear(f"{block}attn.{kind}", width, width)
            for kind in ("gate", "up"):
                shapes |= _linear(f"{block}mlp.{kind}_proj", self.intermediate, width)
            shapes |= _linear(f"{block}mlp.down_proj", width, self.intermediate)
        return {f"{self.prefix}{name}": shape for name, shape in shapes.items()}


@dataclass(frozen=True, slots=True)
class AudioLayout:
    """The audio tower. `prefix` ends with a dot."""

    spec: AudioSpec
    prefix: str
    depth: int
    width: int
    intermediate: int
    heads: int

    def tensors(self) -> Shapes:
        width = self.width
        shapes: Shapes = {
            "conv1.weight": (width, self.spec.num_mel_bins, 3),
            "conv1.bias": (width,),
            "conv2.weight": (width, width, 3),
            "conv2.bias": (width,),
            **_norm("ln_post", width),
            **_linear("proj", self.spec.out_hidden_size, width),
        }
        for index in range(self.depth):
            layer = f"layers.{index}."
            shapes |= {f"{layer}self_attn.k_proj.weight": (width, width)}
            for kind in ("q", "v", "out"):
                shapes |= _linear(f"{layer}self_attn.{kind}_proj", width, width)
            shapes |= _linear(f"{layer}fc1", self.intermediate, width) | _linear(
                f"{layer}fc2", width, self.intermediate
            )
            shapes |= _norm(f"{layer}self_attn_layer_norm", width) | _norm(f"{layer}final_layer_norm", width)
        return {f"{self.prefix}{name}": shape for name, shape in shapes.items()}


def vision_layout(checkpoint: Checkpoint, config: Any, max_pixels: int | None) -> VisionLayout:
    """From the thinker's config and its preprocessor file. `max_pixels` lowers that file's limit, never raises it."""
    vision = config.vision_config
    processor = read_json(checkpoint.folder / PREPROCESSOR_NAME)
    window_units = vision.window_size // vision.spatial_merge_size // vision.patch_size
    if vision.hidden_act != "silu" or vision.in_channels != CHANNELS:
        raise unsupported(checkpoint, "the vision tower is not SiLU over three channels")
    if vision.window_size != window_units * vision.spatial_merge_size * vision.patch_size:
        raise unsupported(checkpoint, "window_size is no multiple of a merged patch")
    low, high = _pixel_limits(checkpoint, processor)
    return VisionLayout(
        spec=VisionSpec(
            patch_size=vision.patch_size,
            temporal_patch_size=vision.temporal_patch_size,
            spatial_merge_size=vision.spatial_merge_size,
            window_size=vision.window_size,
            head_dim=vision.hidden_size // vision.num_heads,
            out_hidden_size=_joining(checkpoint, "vision_config", vision.out_hidden_size, config),
            min_pixels=low,
            max_pixels=high if max_pixels is None else max(low, min(high, max_pixels)),
            image_mean=_rgb(checkpoint, processor, "image_mean"),
            image_std=_rgb(checkpoint, processor, "image_std"),
        ),
        prefix=f"{thinker_prefix(checkpoint)}visual.",
        depth=vision.depth,
        width=vision.hidden_size,
        intermediate=vision.intermediate_size,
        heads=vision.num_heads,
        full_attention=frozenset(vision.fullatt_block_indexes),
    )


def audio_layout(checkpoint: Checkpoint, config: Any) -> AudioLayout:
    """From the thinker's config and its preprocessor file."""
    audio = config.audio_config
    processor = read_json(checkpoint.folder / PREPROCESSOR_NAME)
    if audio.activation_function != "gelu" or audio.n_window % 2:
        raise unsupported(checkpoint, "the audio tower is not GELU over an even window")
    n_fft, hop, rate = (_number(checkpoint, processor, name) for name in ("n_fft", "hop_length", "sampling_rate"))
    return AudioLayout(
        spec=AudioSpec(
            num_mel_bins=audio.num_mel_bins,
            n_window=audio.n_window,
            out_hidden_size=_joining(checkpoint, "audio_config", audio.output_dim, config),
            n_fft=n_fft,
            hop_length=hop,
            sampling_rate=rate,
        ),
        prefix=f"{thinker_prefix(checkpoint)}audio_tower.",
        depth=audio.encoder_layers,
        width=audio.d_model,
        intermediate=audio.encoder_ffn_dim,
        heads=audio.encoder_attention_heads,
    )


def omni_tokens(checkpoint: Checkpoint, config: Any, vocabulary: Mapping[str, int]) -> OmniTokens:
    """Token ids from the config; the vision brackets, which some configs leave out, from the tokenizer's vocabulary."""
    brackets = {"vision_start": "<|vision_bos|>", "vision_end": "<|vision_eos|>"}
    ids: dict[str, int] = {}
    for name, token in brackets.items():
        value = getattr(config, f"{name}_token_id", None)
        ids[name] = vocabulary.get(token, -1) if value is None else value
    if min(ids.values()) < 0:
        raise invalid(checkpoint.folder, "neither config.json nor the tokenizer has the vision start and end tokens")
    return OmniTokens(
        image=config.image_token_index,
        audio=config.audio_token_index,
        video=config.video_token_index,
        audio_start=config.audio_start_token_id,
        audio_end=config.audio_end_token_id,
        position_id_per_seconds=config.position_id_per_seconds,
        seconds_per_chunk=config.seconds_per_chunk,
        **ids,
    )


def _joining(checkpoint: Checkpoint, part: str, width: int, config: Any) -> int:
    """A tower's output goes into the decoder's sequence, so their widths are one."""
    if width != config.text_config.hidden_size:
        raise invalid(
            checkpoint.folder,
            f"{part} gives {width} values a token, the decoder takes {config.text_config.hidden_size}",
        )
    return width


def _pixel_limits(checkpoint: Checkpoint, processor: Mapping[str, Any]) -> tuple[int, int]:
    """min_pixels and max_pixels, or the `size` that newer processors write."""
    if "min_pixels" in processor or "max_pixels" in processor:
        return _number(checkpoint, processor, "min_pixels"), _number(checkpoint, processor, "max_pixels")
    size = processor.get("size")
    if not isinstance(size, Mapping):
        raise invalid(checkpoint.folder, f"{PREPROCESSOR_NAME} has neither min_pixels and max_pixels nor size")
    return _number(checkpoint, size, "shortest_edge"), _number(checkpoint, size, "longest_edge")


def _number(checkpoint: Checkpoint, values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise invalid(checkpoint.folder, f"{PREPROCESSOR_NAME}: {name} is not a positive whole number")
    return value


def _rgb(checkpoint: Checkpoint, values: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    value = values.get(name)
    if not isinstance(value, list) or len(value) != CHANNELS or not all(_is_finite(item) for item in value):
        raise invalid(checkpoint.folder, f"{PREPROCESSOR_NAME}: {name} is not three numbers")
    return float(value[0]), float(value[1]), float(value[2])


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _linear(name: str, rows: int, width: int) -> Shapes:
    return {f"{name}.weight": (rows, width), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
