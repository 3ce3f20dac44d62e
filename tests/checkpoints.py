"""Tiny random-weight checkpoints of the exact model classes, written as transformers writes them. Offline, seconds.

Every writer fills `folder` with config.json, safetensors shards, a fast byte-level BPE tokenizer and (omni) the
processor files, and returns the folder. The same arguments give the same bytes. Reference models for parity come from
`load_reference`, in float32 and with SDPA attention.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2TokenizerFast,
)

OMNI_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_bos|>", "<|vision_eos|>", "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>"),
)
LLAMA_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
CORPUS = (
    "The patient presents with chest pain and shortness of breath.",
    "CT shows a 3 cm nodule in the right lung.",
    "가슴이 아프고 숨이 찹니다. 사흘 전부터 열이 납니다.",
    "You are Qwen, a virtual human.",
)
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR_ROPE = {"rope_type": "linear", "factor": 2.0}
PREPROCESSOR = {
    "chunk_length": 300,
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "max_pixels": 448 * 448,
    "merge_size": 2,
    "min_pixels": 56 * 56,
    "n_fft": 400,
    "n_samples": 4800000,
    "nb_max_frames": 30000,
    "padding_side": "right",
    "padding_value": 0.0,
    "patch_size": 14,
    "processor_class": "Qwen2_5OmniProcessor",
    "return_attention_mask": True,
    "sampling_rate": 16000,
    "temporal_patch_size": 2,
}


def write_thinker(folder: Path, *, layers: int = 3, seed: int = 0, shard: str = "500KB", **text: Any) -> Path:
    """A `Qwen2_5OmniThinkerForConditionalGeneration` on its own. `text` overrides fields of its text_config."""
    tokenizer = _write_omni_files(folder)
    model = _thinker(tokenizer, layers, seed, text)
    model.save_pretrained(folder, max_shard_size=shard)
    return folder


def write_omni(folder: Path, *, layers: int = 3, seed: int = 0, shard: str = "500KB", **text: Any) -> Path:
    """A full `Qwen2_5OmniForConditionalGeneration`: thinker.*, talker.*, token2wav.*; same thinker as write_thinker."""
    tokenizer = _write_omni_files(folder)
    thinker = _thinker(tokenizer, layers, seed, text)
    settings = _thinker_config(tokenizer, layers, text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        full = Qwen2_5OmniForConditionalGeneration(
            Qwen2_5OmniConfig(
                thinker_config=settings,
                talker_config=_talker_config(settings),
                token2wav_config=_token2wav_config(),
                enable_audio_output=True,
            )
        )
    full.thinker.load_state_dict(thinker.state_dict())
    full.save_pretrained(folder, max_shard_size=shard)
    return folder


def write_llama(folder: Path, *, seed: int = 1, shard: str = "300KB", **config: Any) -> Path:
    """A `LlamaForCausalLM` whose tokenizer puts a beginning-of-text token first, as Llama 3's does.

    `config` overrides LlamaConfig, for example rope_scaling=LLAMA3_ROPE, attention_bias=True, tie_word_embeddings=True.
    """
    tokenizer = _write_llama_tokenizer(folder)
    settings = {**_decoder_config(len(tokenizer)), "rope_theta": 500_000.0, "bos_token_id": 0, **config}
    return _write_decoder(LlamaForCausalLM(LlamaConfig(**settings)), folder, seed, shard)


def write_qwen2(folder: Path, *, seed: int = 2, shard: str = "300KB", **config: Any) -> Path:
    """A `Qwen2ForCausalLM` (q/k/v biases)."""
    tokenizer = _write_omni_tokenizer(folder)
    settings = {**_decoder_config(len(tokenizer)), "rope_theta": 1_000_000.0, **config}
    return _write_decoder(Qwen2ForCausalLM(Qwen2Config(**settings)), folder, seed, shard)


def write_mistral(folder: Path, *, seed: int = 3, shard: str = "300KB", **config: Any) -> Path:
    """A `MistralForCausalLM`; no sliding window unless `config` gives one."""
    tokenizer = _write_llama_tokenizer(folder)
    settings = {**_decoder_config(len(tokenizer)), "sliding_window": None, "rope_theta": 1_000_000.0, **config}
    return _write_decoder(MistralForCausalLM(MistralConfig(**settings)), folder, seed, shard)


def load_reference(folder: Path) -> PreTrainedModel:
    """The folder's model in transformers, float32, eval mode; of a full omni folder only the thinker."""
    classes = {
        "Qwen2_5OmniForConditionalGeneration": Qwen2_5OmniThinkerForConditionalGeneration,
        "Qwen2_5OmniThinkerForConditionalGeneration": Qwen2_5OmniThinkerForConditionalGeneration,
        "LlamaForCausalLM": LlamaForCausalLM,
        "Qwen2ForCausalLM": Qwen2ForCausalLM,
        "MistralForCausalLM": MistralForCausalLM,
    }
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = classes[architecture].from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval()


# --------------------------------------------------------------------------- configs
def _decoder_config(vocab_size: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab_size,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
    }


def _thinker_config(tokenizer: PreTrainedTokenizerFast, layers: int, text: dict[str, Any]) -> dict[str, Any]:
    token = tokenizer.convert_tokens_to_ids
    text_settings = {
        **_decoder_config(len(tokenizer)),
        "num_hidden_layers": layers,
        "max_position_embeddings": 32768,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [4, 6, 6]},
        "pad_token_id": token("<|endoftext|>"),
        **text,
    }
    width = text_settings["hidden_size"]
    return {
        "text_config": text_settings,
        "audio_config": {
            "num_mel_bins": 128,
            "d_model": 64,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "max_source_positions": 1500,
            "n_window": 100,
            "output_dim": width,
        },
        "vision_config": {
            "depth": 4,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 4,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": width,
            "fullatt_block_indexes": [1, 3],
        },
        "audio_token_index": token("<|AUDIO|>"),
        "image_token_index": token("<|IMAGE|>"),
        "video_token_index": token("<|VIDEO|>"),
        "audio_start_token_id": token("<|audio_bos|>"),
        "audio_end_token_id": token("<|audio_eos|>"),
        "vision_start_token_id": token("<|vision_bos|>"),
        "vision_end_token_id": token("<|vision_eos|>"),
        "user_token_id": 0,
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "pad_token_id": token("<|endoftext|>"),
    }


def _talker_config(thinker: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": 900,
        "embedding_size": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [2, 3, 3]},
        "pad_token_id": 0,
        "tts_codec_start_token_id": 801,
        "tts_codec_end_token_id": 802,
        "tts_codec_pad_token_id": 803,
        "tts_codec_mask_token_id": 804,
        **{name: thinker[name] for name in ("audio_token_index", "image_token_index", "video_token_index")},
    }


def _token2wav_config() -> dict[str, Any]:
    return {
        "dit_config": {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "head_dim": 16,
            "emb_dim": 32,
            "num_embeds": 900,
            "enc_emb_dim": 16,
            "enc_dim": 16,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_attention_channels": 8,
            "enc_se_channels": 8,
            "look_ahead_layers": [1],
            "look_backward_layers": [0],
        },
        "bigvgan_config": {"upsample_initial_channel": 64},
    }


# --------------------------------------------------------------------------- weights
def _thinker(
    tokenizer: PreTrainedTokenizerFast, layers: int, seed: int, text: dict[str, Any]
) -> Qwen2_5OmniThinkerForConditionalGeneration:
    config = Qwen2_5OmniThinkerConfig(**_thinker_config(tokenizer, layers, text))
    model = Qwen2_5OmniThinkerForConditionalGeneration(config)
    _randomize(model, seed)
    return model


def _write_decoder(model: PreTrainedModel, folder: Path, seed: int, shard: str) -> Path:
    _randomize(model, seed)
    model.save_pretrained(folder, max_shard_size=shard)
    return folder


@torch.no_grad()
def _randomize(model: PreTrainedModel, seed: int) -> None:
    """Weights that keep the residual stream alive: unit-gain matrices, norms near 1, biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 1:
            is_norm = ("norm" in name or "ln" in name) and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_norm else 0.1 * noise)
        else:
            gain = 10.0 if "embed_tokens" in name else 1.0
            parameter.copy_(noise * gain * parameter[0].numel() ** -0.5)


# --------------------------------------------------------------------------- tokenizers
def _train_bpe(vocab_size: int = 600) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    return tokenizer


def _write_omni_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """vocab.json + merges.txt + tokenizer.json, with Qwen2.5-Omni's special tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    model = json.loads(_train_bpe().to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in model["merges"]))
    tokenizer = Qwen2TokenizerFast(
        vocab_file=str(folder / "vocab.json"),
        merges_file=str(folder / "merges.txt"),
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=32768,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(OMNI_SPECIAL)})
    tokenizer.save_pretrained(folder)
    return tokenizer


def _write_omni_files(folder: Path) -> PreTrainedTokenizerFast:
    tokenizer = _write_omni_tokenizer(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2))
    return tokenizer


def _write_llama_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    folder.mkdir(parents=True, exist_ok=True)
    backend = _train_bpe()
    backend.add_special_tokens(list(LLAMA_SPECIAL))
    bos = LLAMA_SPECIAL[0]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token=LLAMA_SPECIAL[2], pad_token=LLAMA_SPECIAL[1]
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
