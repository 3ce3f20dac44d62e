"""Every class and quirk of the checkpoints that the two slots take: converted, served, and equal to transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from app.conversion import NoProgress, convert
from app.domain import Case, Image, Source
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.errors import ArtifactError
from tests.checkpoints import LLAMA3_ROPE, load_reference, write_llama, write_mistral, write_omni, write_qwen2
from tests.checkpoints import write_thinker as write_thinker_alone
from tests.conversion.compatible_checkpoints import PIECES, cast, edit_config, rewrite_weights, write_sentencepiece
from tests.conversion.conftest import request_for
from tests.encoders.thinker import IMAGE, PREFIX, Thinker

TOLERANCE = 1e-4
CUT_LAYER = 3
TEXT = "어제부터 가슴이 아프고 숨이 찹니다. 열이 38.5도까지 났고 식은땀이 납니다.\nNo known allergies 😀"
MHA = {"num_key_value_heads": 4, "rope_theta": 10_000.0, "max_position_embeddings": 2048}


def llama_3(folder: Path) -> Path:
    """MMed-Llama-3, OpenBioLLM, Jivi MedX, and with this scaling Llama 3.1: bfloat16 in .bin shards."""
    write_llama(folder, rope_scaling=LLAMA3_ROPE)
    return rewrite_weights(folder, cast(torch.bfloat16), pickled=True)


def llama_2(folder: Path) -> Path:
    """Meditron-7B: every head its own keys, only a tokenizer.model, 17 embeddings more than pieces, old buffers."""
    write_llama(folder, vocab_size=PIECES + 17, **MHA)
    buffers = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(16) for layer in range(4)}
    rewrite_weights(folder, lambda weights: cast(torch.float16)(weights) | buffers, pickled=True)
    return write_sentencepiece(edit_config(folder, head_dim=None, attention_bias=None, mlp_bias=None))


def mistral(folder: Path) -> Path:
    """BioMistral-7B: a sliding window, which the text is longer than; no head_dim in its config."""
    write_mistral(folder, sliding_window=8, rope_theta=10_000.0, vocab_size=PIECES)
    rewrite_weights(folder, cast(torch.bfloat16), pickled=True)
    return write_sentencepiece(edit_config(folder, head_dim=None))


def qwen2(folder: Path) -> Path:
    """HuatuoGPT-o1-7B and other Qwen2 and Qwen2.5: a window that is written down, but not used."""
    write_qwen2(folder, use_sliding_window=False, sliding_window=8, max_window_layers=2)
    return edit_config(folder, sliding_window=8, layer_types=None)


def qwen2_sliding(folder: Path) -> Path:
    write_qwen2(folder, use_sliding_window=True, sliding_window=8, max_window_layers=2)
    return edit_config(folder, layer_types=None)


def qwen2_tied(folder: Path) -> Path:
    """The small ones: no lm_head at all."""
    return rewrite_weights(write_qwen2(folder, tie_word_embeddings=True), cast(torch.bfloat16))


def linear(folder: Path) -> Path:
    """As configs of before transformers 4.43 name it."""
    return edit_config(write_llama(folder), rope_scaling={"type": "linear", "factor": 4.0})


def dynamic(folder: Path) -> Path:
    return edit_config(write_llama(folder), rope_scaling={"type": "dynamic", "factor": 2.0})


def biased(folder: Path) -> Path:
    return write_llama(folder, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)


def capitals(folder: Path) -> Path:
    return edit_config(write_llama(folder), architectures=["LLaMAForCausalLM"])


def decoder_alone(folder: Path, name: str) -> Path:
    """Saved as a `...Model`: no head, and no "model." before the names."""
    edit_config(folder, architectures=[name])
    return rewrite_weights(
        folder, lambda weights: {key.removeprefix("model."): w for key, w in weights.items() if "lm_head" not in key}
    )


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "llama 3": llama_3,
    "llama 2": llama_2,
    "mistral": mistral,
    "qwen2": qwen2,
    "qwen2 sliding": qwen2_sliding,
    "qwen2 tied": qwen2_tied,
    "linear": linear,
    "dynamic": dynamic,
    "biased": biased,
    "LLaMAForCausalLM": capitals,
    "LlamaModel": lambda folder: decoder_alone(write_llama(folder), "LlamaModel"),
    "MistralModel": lambda folder: decoder_alone(write_mistral(folder, sliding_window=8), "MistralModel"),
    "Qwen2Model": lambda folder: decoder_alone(write_qwen2(folder), "Qwen2Model"),
}
CLASSES = {"LLaMAForCausalLM": "LlamaForCausalLM"} | {
    f"{family}Model": f"{family}ForCausalLM" for family in ("Llama", "Mistral", "Qwen2")
}


@torch.no_grad()
def reference_states(folder: Path, name: str, ids: list[int]) -> list[np.ndarray]:
    """transformers' hidden states, each (seq, hidden); a decoder alone is loaded into the whole class."""
    if name in CLASSES:
        edit_config(folder, architectures=[CLASSES[name]])
    output = load_reference(folder)(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return [state[0].numpy() for state in output.hidden_states]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_medical_slot(name, tmp_path):
    folder = CHECKPOINTS[name](tmp_path / "checkpoint")
    request = request_for(folder, tmp_path / "out", cut_layer=CUT_LAYER, slot="medical")
    manifest = convert(request, NoProgress())
    encoder = MedicalEncoder.load(tmp_path / "out", threads=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXT)["input_ids"]
    expected = reference_states(folder, name, ids)[CUT_LAYER]
    ours = encoder.hidden_states(ids)
    difference = np.abs(ours - expected).max()
    print(f"{name}: {len(ids)} tokens, window {manifest.decoder.sliding_window}, max difference {difference:.1e}")
    assert len(ids) > 40
    assert difference <= TOLERANCE
    (embedding,) = encoder.encode(Case(language="ko", text=TEXT))
    own = len(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    assert np.abs(embedding.vector - expected[-own:].mean(axis=0)).max() <= TOLERANCE


def test_a_window_changes_what_is_read(tmp_path):
    """Parity beyond the window would also hold if neither side applied one."""
    folder = mistral(tmp_path / "checkpoint")
    ids = list(range(3, 60))
    near, far = (reference_states(edit_config(folder, sliding_window=size), "mistral", ids)[3] for size in (8, 4096))
    assert np.abs(near - far)[:8].max() <= 1e-5
    assert np.abs(near - far)[8:].max() > 0.01


# --------------------------------------------------------------------------- Qwen2.5-Omni-3B
RATIOS_3B = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"},
    "use_sliding_window": False,
    "sliding_window": 8,
    "max_window_layers": 2,
}
"""Its 16 heads share 2 keys and values, and its width is 16 times a head's: 2048 there, with mrope [16, 24, 24]."""


def thinker_alone(folder: Path) -> Path:
    return write_thinker_alone(folder, tie_word_embeddings=True, **RATIOS_3B)


def full_folder(folder: Path) -> Path:
    return write_omni(folder, **RATIOS_3B)


@pytest.mark.parametrize(
    ("write", "published_name"), [(thinker_alone, None), (full_folder, None), (full_folder, "Qwen2_5OmniModel")]
)
def test_omni_slot_takes_the_3b(write, published_name, tmp_path):
    folder = write(tmp_path / "checkpoint")
    reference = Thinker(folder)
    if published_name:
        edit_config(folder, architectures=[published_name])
    settings = {"cut_layer": 2, "slot": "omni", "prompt_prefix": PREFIX}
    manifest = convert(request_for(folder, tmp_path / "out", **settings), NoProgress())
    assert (manifest.decoder.heads, manifest.decoder.kv_heads, manifest.decoder.head_dim) == (16, 2, 16)
    assert manifest.decoder.mrope_section == (2, 3, 3)
    encoder = OmniEncoder.load(tmp_path / "out", threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    text, image = encoder.encode(Case(language="ko", text=TEXT, images=(Image(pixels),)))
    assert (text.source, image.source) == (Source.OMNI_TEXT, Source.OMNI_IMAGE)
    expected_text = reference.pooled(2, None, PREFIX + TEXT)
    expected_image = reference.pooled(2, "<|IMAGE|>", PREFIX + IMAGE, images=[pixels])
    differences = [
        np.abs(text.vector - expected_text).max(),
        np.abs(image.vector - expected_image).max(),
    ]
    print(write.__name__, published_name, "max differences", differences)
    assert max(differences) <= TOLERANCE


# --------------------------------------------------------------------------- refusals
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "MMedLM": (lambda f: edit_config(write_llama(f), architectures=["InternLMForCausalLM"]), "InternLMForCausalLM"),
    "Baichuan": (lambda f: edit_config(write_llama(f), architectures=["BaichuanForCausalLM"]), "BaichuanForCausalLM"),
    "Qwen3": (lambda f: edit_config(write_qwen2(f), architectures=["Qwen3ForCausalLM"]), "Qwen3ForCausalLM"),
    "two classes": (lambda f: edit_config(write_llama(f), architectures=["LlamaModel", "X"]), "architectures is"),
    "nested name": (lambda f: edit_config(write_llama(f), architectures=[["LlamaModel"]]), "architectures is"),
    "longrope": (
        lambda f: edit_config(
            write_llama(f), rope_scaling={"type": "longrope", "long_factor": [1.0] * 16, "short_factor": [1.0] * 16}
        ),
        "longrope",
    ),
    "already quantised": (
        lambda f: edit_config(write_llama(f), quantization_config={"quant_method": "bitsandbytes"}),
        "original weights are needed",
    ),
    "adapter only": (
        lambda f: rewrite_weights(write_llama(f), lambda w: {f"base_model.model.{key}": w[key] for key in w}),
        "model.embed_tokens.weight is missing",
    ),
    "another vocabulary": (
        lambda f: edit_config(write_llama(f), vocab_size=777),
        "config.json says [777, 128]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name, tmp_path):
    write, reason = REFUSED[name]
    folder = write(tmp_path / "checkpoint")
    with pytest.raises(ArtifactError) as caught:
        convert(request_for(folder, tmp_path / "out"), NoProgress())
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
