"""The embedded pair as checkpoints: SmolLM2 as `LlamaForCausalLM`, and the same blocks under trained towers as a
`Qwen2_5OmniThinkerForConditionalGeneration`.

A thinker's decoder block is Llama's with q/k/v biases: zero biases make them equal. The omni tokens take the place of
control tokens that SmolLM2's chat format never uses, so that the vocabulary keeps its size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from app.conversion.checkpoint import read_json
from app.conversion.gguf import GgufLlama, llama_config
from app.conversion.gguf_tokenizer import write_tokenizer
from app.conversion.progress import Progress
from app.conversion.safetensors_stream import write_float16
from app.errors import ArtifactError

TOWER_FILES = ("config.json", "preprocessor_config.json", "vision.safetensors", "audio.safetensors")
OMNI_TOKEN_NAMES = {
    "<repo_name>": "<|AUDIO|>",
    "<reponame>": "<|audio_bos|>",
    "<file_sep>": "<|audio_eos|>",
    "<filename>": "<|box_end|>",
    "<gh_stars>": "<|quad_start|>",
    "<issue_start>": "<|quad_end|>",
    "<issue_comment>": "<|vision_bos|>",
    "<issue_closed>": "<|vision_eos|>",
    "<jupyter_start>": "<|vision_pad|>",
    "<jupyter_text>": "<|IMAGE|>",
    "<jupyter_code>": "<|VIDEO|>",
}
"""Qwen2.5-Omni's special tokens in the order of its vocabulary, on SmolLM2's unused ids 3 to 13."""
_TOKENIZER_ATTRIBUTES = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% elif part['type'] == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ROTARY_SHARES = (1, 1.5, 1.5)
"""Qwen2.5-Omni gives time, height and width 16, 24 and 24 of 64 frequencies."""
Tensor = npt.NDArray[np.float16]


def write_medical_checkpoint(gguf: GgufLlama, folder: Path, progress: Progress) -> None:
    """`LlamaForCausalLM`: config.json, model.safetensors (float16), tokenizer files."""
    folder.mkdir(parents=True)
    _write_config(folder, llama_config(gguf))
    write_tokenizer(gguf.vocabulary, folder)
    shapes = gguf.tensor_shapes
    progress.stage("medical weights", len(shapes))
    write_float16(folder / "model.safetensors", shapes, _counted(gguf.tensors(), progress))


def write_omni_checkpoint(gguf: GgufLlama, towers: Path, folder: Path, progress: Progress) -> None:
    """`Qwen2_5OmniThinkerForConditionalGeneration`: the decoder, `visual.*` and `audio_tower.*`, tokenizer, processor.

    ArtifactError where a tower file is missing or does not fit the decoder.
    """
    folder.mkdir(parents=True)
    settings = read_json(towers / "config.json")
    vocabulary = gguf.vocabulary.renamed(OMNI_TOKEN_NAMES)
    index = {token: position for position, token in enumerate(vocabulary.tokens)}
    _write_config(folder, _thinker_config(gguf, settings, index))
    write_tokenizer(vocabulary, folder, "Qwen2TokenizerFast", _TOKENIZER_ATTRIBUTES, _CHAT_TEMPLATE)
    shutil.copyfile(towers / "preprocessor_config.json", folder / "preprocessor_config.json")
    visual, audio = (towers / f"{kind}.safetensors" for kind in ("vision", "audio"))
    shapes = _decoder_shapes(gguf) | _tower_shapes(visual, "visual.") | _tower_shapes(audio, "audio_tower.")
    progress.stage("omni weights", len(shapes))

    def tensors() -> Iterator[tuple[str, Tensor]]:
        yield from _decoder_tensors(gguf)
        yield from _tower_tensors(visual, "visual.")
        yield from _tower_tensors(audio, "audio_tower.")

    write_float16(folder / "model.safetensors", shapes, _counted(tensors(), progress))


def _thinker_config(gguf: GgufLlama, settings: dict[str, Any], index: dict[str, int]) -> dict[str, object]:
    shape = gguf.shape
    half = shape.head_dim // 2
    time, height, _ = (int(half * share / sum(_ROTARY_SHARES)) for share in _ROTARY_SHARES)
    text = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.max_position,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": llama_config(gguf)["rms_norm_eps"],
        "rope_scaling": {
            "type": "default",
            "rope_type": "default",
            "mrope_section": [time, height, half - time - height],
        },
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "pad_token_id": gguf.vocabulary.pad,
    }
    return {
        "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
        "model_type": "qwen2_5_omni_thinker",
        "text_config": text,
        "vision_config": settings["vision_config"],
        "audio_config": settings["audio_config"],
        "audio_token_index": index["<|AUDIO|>"],
        "image_token_index": index["<|IMAGE|>"],
        "video_token_index": index["<|VIDEO|>"],
        "audio_start_token_id": index["<|audio_bos|>"],
        "audio_end_token_id": index["<|audio_eos|>"],
        "vision_start_token_id": index["<|vision_bos|>"],
        "vision_end_token_id": index["<|vision_eos|>"],
        "user_token_id": index["user"],
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "pad_token_id": gguf.vocabulary.pad,
        "tie_word_embeddings": False,
        "dtype": "float16",
    }


def _write_config(folder: Path, config: dict[str, object]) -> None:
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _decoder_shapes(gguf: GgufLlama) -> dict[str, tuple[int, ...]]:
    """The GGUF's tensors, the biases that a thinker has besides, and an output matrix of its own."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in gguf.tensor_shapes.items():
        shapes[name] = shape
        if (bias := _bias_of(name)) is not None:
            shapes[bias] = shape[:1]
    shapes.setdefault("lm_head.weight", shapes["model.embed_tokens.weight"])
    return shapes


def _decoder_tensors(gguf: GgufLlama) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in gguf.tensors():
        yield name, tensor
        if (bias := _bias_of(name)) is not None:
            yield bias, np.zeros(tensor.shape[0], np.float16)
    if gguf.tied_embeddings:
        yield "lm_head.weight", gguf.tensor("model.embed_tokens.weight")


def _bias_of(name: str) -> str | None:
    """The bias that a thinker has beside a q, k or v weight."""
    if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
        return name.removesuffix("weight") + "bias"
    return None


def _tower_shapes(path: Path, prefix: str) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="np") as tower:
            return {f"{prefix}{name}": tuple(tower.get_slice(name).get_shape()) for name in tower.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError("tower_unreadable", file=path.name) from error


def _tower_tensors(path: Path, prefix: str) -> Iterator[tuple[str, Tensor]]:
    with safe_open(path, framework="np") as tower:
        for name in tower.keys():  # noqa: SIM118
            yield f"{prefix}{name}", tower.get_tensor(name).astype(np.float16)


def _counted(tensors: Iterator[tuple[str, Tensor]], progress: Progress) -> Iterator[tuple[str, Tensor]]:
    for item in tensors:
        progress.advance(1)
        yield item
