"""Shapes of the full pair: Qwen2.5-Omni-7B's thinker and Llama-3-8B, as their published config.json files give them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class TextShape:
    """A decoder. `text_tokens`: tokens of the vocabulary below the special ones."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    text_tokens: int
    rope_theta: float
    norm_eps: float
    max_position: int
    qkv_bias: bool

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    def cut(self, layers: int) -> TextShape:
        return replace(self, layers=layers)

    def config(self) -> dict[str, Any]:
        """The fields that Llama's and the thinker's text config have in common."""
        return {
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "max_position_embeddings": self.max_position,
            "tie_word_embeddings": False,
        }


@dataclass(frozen=True, slots=True)
class TowerShape:
    """A vision or audio tower; its output is as wide as the decoder."""

    layers: int
    hidden: int
    intermediate: int
    heads: int


@dataclass(frozen=True, slots=True)
class OmniShape:
    text: TextShape
    vision: TowerShape
    audio: TowerShape
    full_attention: tuple[int, ...]
    """Blocks of the vision tower that attend over a whole frame."""


OMNI_7B = OmniShape(
    text=TextShape(3584, 18944, 28, 28, 4, 152_064, 151_643, 1e6, 1e-6, 32_768, qkv_bias=True),
    vision=TowerShape(32, 1280, 3420, 16),
    audio=TowerShape(32, 1280, 5120, 20),
    full_attention=(7, 15, 23, 31),
)
LLAMA_3_8B = TextShape(4096, 14336, 32, 32, 8, 128_256, 128_000, 5e5, 1e-5, 8192, qkv_bias=False)


def omni_config(shape: OmniShape, tokens: dict[str, int]) -> dict[str, Any]:
    """config.json of a full omni folder, the thinker's part alone. `tokens`: special token -> id."""
    half = shape.text.head_dim // 2
    side = half * 3 // 8
    text = shape.text.config() | {
        "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [half - 2 * side, side, side]},
        "use_sliding_window": False,
    }
    thinker = {
        "architectures": ["Qwen2OmniNaViTThinkerForConditionalGeneration"],
        "model_type": "qwen2_5_omni_thinker",
        "text_config": text,
        "vision_config": _vision_config(shape),
        "audio_config": _audio_config(shape),
        "audio_token_index": tokens["<|AUDIO|>"],
        "image_token_index": tokens["<|IMAGE|>"],
        "video_token_index": tokens["<|VIDEO|>"],
        "audio_start_token_id": tokens["<|audio_bos|>"],
        "audio_end_token_id": tokens["<|audio_eos|>"],
        "vision_start_token_id": tokens["<|vision_bos|>"],
        "vision_end_token_id": tokens["<|vision_eos|>"],
        "pad_token_id": tokens["<|endoftext|>"],
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
    }
    return {
        "architectures": ["Qwen2_5OmniModel"],
        "model_type": "qwen2_5_omni",
        "torch_dtype": "bfloat16",
        "enable_audio_output": True,
        "thinker_config": thinker,
    }


def llama_config(shape: TextShape, tokens: dict[str, int]) -> dict[str, Any]:
    """config.json of a Llama checkpoint."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "attention_bias": False,
        "bos_token_id": tokens["<|begin_of_text|>"],
        "eos_token_id": tokens["<|end_of_text|>"],
        **shape.config(),
    }


def _vision_config(shape: OmniShape) -> dict[str, Any]:
    vision = shape.vision
    return {
        "depth": vision.layers,
        "hidden_size": vision.hidden,
        "intermediate_size": vision.intermediate,
        "num_heads": vision.heads,
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "out_hidden_size": shape.text.hidden,
        "fullatt_block_indexes": list(shape.full_attention),
    }


def _audio_config(shape: OmniShape) -> dict[str, Any]:
    audio = shape.audio
    return {
        "num_mel_bins": 128,
        "d_model": audio.hidden,
        "encoder_layers": audio.layers,
        "encoder_attention_heads": audio.heads,
        "encoder_ffn_dim": audio.intermediate,
        "max_source_positions": 1500,
        "n_window": 100,
        "output_dim": shape.text.hidden,
    }
