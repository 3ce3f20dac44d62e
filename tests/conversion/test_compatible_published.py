"""The numbers of published config.json files lead to the right decoder. No weights: those are not to be had here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.conversion.architecture import architecture_of, decoder_layout, parse_config
from app.conversion.checkpoint import Checkpoint

SEVEN_B: dict[str, Any] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
}
MISTRAL = {
    **SEVEN_B,
    "architectures": ["MistralForCausalLM"],
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "sliding_window": 4096,
    "vocab_size": 32000,
}
MEDITRON = {
    **SEVEN_B,
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "intermediate_size": 11008,
    "num_key_value_heads": 32,
    "max_position_embeddings": 2048,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10_000.0,
    "vocab_size": 32017,
}
LLAMA_3 = {
    **MEDITRON,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500_000.0,
    "vocab_size": 128256,
}
QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "sliding_window": 131072,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
OMNI_3B = {
    "architectures": ["Qwen2_5OmniModel"],
    "thinker_config": {
        "text_config": {
            **QWEN2,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "rope_scaling": {"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"},
            "sliding_window": 32768,
            "vocab_size": 151936,
        }
    },
}
PUBLISHED = {
    "BioMistral-7B": (MISTRAL, "MistralForCausalLM", 4096),
    "Meditron-7B": (MEDITRON, "LlamaForCausalLM", None),
    "MMed-Llama-3-8B, OpenBioLLM-8B": (LLAMA_3, "LlamaForCausalLM", None),
    "Qwen2.5-7B": (QWEN2, "Qwen2ForCausalLM", None),
    "Qwen2.5-Omni-3B": (OMNI_3B, "Qwen2_5OmniThinkerForConditionalGeneration", None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_config(name):
    config, architecture, window = PUBLISHED[name]
    checkpoint = Checkpoint(Path(name), config, lambda _: None)
    assert architecture_of(checkpoint) == architecture
    layout = decoder_layout(checkpoint, architecture, parse_config(checkpoint, architecture), None)
    spec, raw = layout.spec, config.get("thinker_config", {"text_config": config})["text_config"]
    sizes = ("hidden_size", "intermediate_size", "vocab_size", "rms_norm_eps", "rope_theta")
    assert {size: getattr(spec, size) for size in sizes} == {size: raw[size] for size in sizes}
    assert (spec.head_dim, spec.sliding_window, spec.cut_layer) == (128, window, raw["num_hidden_layers"])
    assert spec.rope_inv_freq[:2] == pytest.approx((1.0, raw["rope_theta"] ** (-1 / 64)))
    prefix = "thinker.model." if "Omni" in name else "model."
    tensors = layout.tensors()
    key = f"{prefix}layers.0.self_attn.k_proj"
    assert tensors[f"{key}.weight"] == (raw["num_key_value_heads"] * 128, raw["hidden_size"])
    assert (f"{key}.bias" in tensors) == ("Qwen" in name)
    assert sum(name.endswith("down_proj.weight") for name in tensors) == raw["num_hidden_layers"]
    if "Omni" in name:
        assert spec.mrope_section == (16, 24, 24)
