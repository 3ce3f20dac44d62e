"""transformers' own pre-processing of Qwen2.5-Omni, offline: what the encoders are compared with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import Qwen2_5OmniProcessor, Qwen2VLImageProcessor, WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniPreTrainedModelForConditionalGeneration as RopeIndex,
)

from app.encoders.manifest import AudioSpec, DecoderSpec, Manifest, OmniTokens, VisionSpec

VISION = VisionSpec(
    patch_size=14,
    temporal_patch_size=2,
    spatial_merge_size=2,
    window_size=112,
    head_dim=16,
    out_hidden_size=128,
    min_pixels=56 * 56,
    max_pixels=448 * 448,
    image_mean=(0.48145466, 0.4578275, 0.40821073),
    image_std=(0.26862954, 0.26130258, 0.27577711),
)
AUDIO = AudioSpec(num_mel_bins=128, n_window=100, out_hidden_size=128, n_fft=400, hop_length=160, sampling_rate=16_000)
TOKENS = OmniTokens(
    image=11,
    audio=12,
    video=13,
    vision_start=14,
    vision_end=15,
    audio_start=16,
    audio_end=17,
    position_id_per_seconds=25,
    seconds_per_chunk=2.0,
)


def rope_index(tokens: OmniTokens, merge: int, input_ids: np.ndarray, **media: Any) -> np.ndarray:
    """`get_rope_index` without a model: (3, seq) for one sequence."""
    config = SimpleNamespace(
        image_token_id=tokens.image,
        video_token_id=tokens.video,
        audio_token_id=tokens.audio,
        vision_start_token_id=tokens.vision_start,
        audio_start_token_id=tokens.audio_start,
        position_id_per_seconds=tokens.position_id_per_seconds,
        seconds_per_chunk=tokens.seconds_per_chunk,
    )
    stub = SimpleNamespace(
        config=config,
        spatial_merge_size=merge,
        get_llm_pos_ids_for_vision=lambda *args: RopeIndex.get_llm_pos_ids_for_vision(None, *args),
        get_chunked_index=lambda *args: RopeIndex.get_chunked_index(None, *args),
    )
    ids = torch.from_numpy(input_ids)[None]
    positions, _ = RopeIndex.get_rope_index(stub, ids, attention_mask=torch.ones_like(ids), **media)
    return positions[:, 0].numpy()


def image_processor() -> Qwen2VLImageProcessor:
    return Qwen2VLImageProcessor(min_pixels=VISION.min_pixels, max_pixels=VISION.max_pixels)


def feature_extractor(seconds: int = 300) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(
        feature_size=128,
        sampling_rate=16_000,
        hop_length=160,
        chunk_length=seconds,
        n_fft=400,
        return_attention_mask=True,
    )


def interleaved_placeholders(grid: tuple[int, int, int], seconds_per_grid: float, audio_tokens: int) -> list[str]:
    """What `Qwen2_5OmniProcessor` puts in place of a video with sound: a list of V and A between the delimiters."""
    stub = SimpleNamespace(
        image_processor=SimpleNamespace(merge_size=2),
        video_processor=SimpleNamespace(merge_size=2),
        get_chunked_index=lambda *args: Qwen2_5OmniProcessor.get_chunked_index(None, *args),
        **{f"{name}_token": f"<{name}>" for name in ("audio", "image", "video")},
        **{f"{kind}_{end}_token": f"<{kind}_{end}>" for kind in ("vision", "audio") for end in ("bos", "eos")},
    )
    (text,) = Qwen2_5OmniProcessor.replace_multimodal_special_tokens(
        stub,
        ["<vision_bos><video><vision_eos>"],
        iter([audio_tokens]),
        iter([]),
        iter([np.array(grid)]),
        iter([seconds_per_grid]),
        True,
        TOKENS.position_id_per_seconds,
        TOKENS.seconds_per_chunk,
    )
    return text.replace("><", ">|<").split("|")


def manifest(**overrides: Any) -> Manifest:
    """A manifest of an omni folder without files; for what reads only its numbers."""
    decoder = DecoderSpec(
        hidden_size=128,
        intermediate_size=256,
        layers=3,
        cut_layer=2,
        heads=4,
        kv_heads=2,
        head_dim=32,
        vocab_size=640,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        rope_inv_freq=tuple((1.0 / 1e6 ** (np.arange(0, 32, 2) / 32)).tolist()),
        mrope_section=(4, 6, 6),
        max_position=32768,
    )
    fields = {
        "architecture": "Qwen2_5OmniThinkerForConditionalGeneration",
        "quantization": "none",
        "decoder": decoder,
        "vision": VISION,
        "audio": AUDIO,
        "tokens": TOKENS,
        "source": "test",
        "source_revision": "0",
        "tool_versions": {},
        "files": {},
    }
    return Manifest(**{**fields, **overrides})
