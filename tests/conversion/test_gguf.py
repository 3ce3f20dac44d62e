"""A GGUF file becomes a Llama checkpoint that transformers loads: weights, order of rows, vocabulary, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoTokenizer, LlamaForCausalLM

from app.conversion import NoProgress
from app.conversion.embedded import packaged_gguf
from app.conversion.embedded_checkpoints import write_medical_checkpoint
from app.conversion.gguf import GgufLlama, find_packaged_gguf, unpermute
from app.conversion.safetensors_stream import write_float16
from app.errors import ArtifactError
from tests.conversion.tiny_gguf import CONTROL, HEADS, vocabulary, write_tiny_gguf


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's converter, written from its description: halves of a head -> interleaved pairs."""
    rows = weight.shape[0] // heads
    order = np.concatenate([head * rows + np.arange(rows).reshape(2, -1).T.reshape(-1) for head in range(heads)])
    return weight[order]


def test_unpermute_inverts_the_converters_order() -> None:
    weight = np.arange(3 * 16 * 5, dtype=np.float32).reshape(3 * 16, 5)
    assert not np.array_equal(permuted(weight, 3), weight)
    np.testing.assert_array_equal(unpermute(permuted(weight, 3), 3), weight)


def test_checkpoint_holds_the_dequantised_weights_in_transformers_order(tmp_path: Path) -> None:
    original = write_tiny_gguf(tmp_path / "tiny.gguf")
    write_medical_checkpoint(GgufLlama(tmp_path / "tiny.gguf"), tmp_path / "checkpoint", NoProgress())
    weights = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float16)}
    down = weights["model.layers.1.mlp.down_proj.weight"].astype(np.float32)
    assert np.abs(down - original["blk.1.ffn_down.weight"]).max() < 0.03  # half a step of four bits
    norm = weights["model.layers.0.input_layernorm.weight"].astype(np.float32)
    np.testing.assert_allclose(norm, original["blk.0.attn_norm.weight"], atol=1e-3)
    query = weights["model.layers.0.self_attn.q_proj.weight"].astype(np.float32)
    assert np.abs(permuted(query, HEADS) - original["blk.0.attn_q.weight"]).max() < 0.06
    assert np.abs(query - original["blk.0.attn_q.weight"]).max() > 0.2


def test_transformers_loads_the_checkpoint_whole(tmp_path: Path, tiny: Path) -> None:
    write_medical_checkpoint(GgufLlama(tiny), tmp_path / "checkpoint", NoProgress())
    model, info = LlamaForCausalLM.from_pretrained(
        tmp_path / "checkpoint", dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values())
    assert model.config.rope_theta == 10_000.0
    assert model.config.rms_norm_eps == pytest.approx(1e-5, abs=1e-12)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model(torch.tensor([[1, 30, 40]])).logits.shape == (1, 3, len(vocabulary()))


def test_tokenizer_keeps_ids_and_round_trips_both_languages(tmp_path: Path, tiny: Path) -> None:
    write_medical_checkpoint(GgufLlama(tiny), tmp_path / "checkpoint", NoProgress())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    text = "user 2024: he 가슴 통증"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer("<|im_start|>user").input_ids == [1, vocabulary().index("user")]
    assert tokenizer("42").input_ids == [vocabulary().index("4"), vocabulary().index("2")]
    assert tokenizer.convert_tokens_to_ids(list(CONTROL)) == list(range(len(CONTROL)))
    assert tokenizer.eos_token == "<|im_end|>"


def test_other_architectures_and_splitting_schemes_are_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "other.gguf", architecture="gemma")
    with pytest.raises(ArtifactError, match="gguf_architecture_unsupported"):
        GgufLlama(tmp_path / "other.gguf")
    write_tiny_gguf(tmp_path / "scheme.gguf", scheme="other")
    with pytest.raises(ArtifactError, match="gguf_tokenizer_unsupported"):
        write_medical_checkpoint(GgufLlama(tmp_path / "scheme.gguf"), tmp_path / "checkpoint", NoProgress())


def test_damaged_file_is_one_artifact_error(tmp_path: Path, tiny: Path) -> None:
    whole = tiny.read_bytes()
    for name, content in {"empty": b"", "text": b"no gguf at all", "cut": whole[: len(whole) // 2]}.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="gguf_"):
            GgufLlama(path)


def test_packaged_file_is_found_without_an_import_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packaged_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model.gguf").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    digest = "9a129d3c18b0d21a4d4cbc34f9bb3a4a4c7ffb15a1b0d5ba2c2fe8d3a2a2b1a9"
    with pytest.raises(ArtifactError, match="gguf_file_damaged"):
        find_packaged_gguf("packaged_weights", "model.gguf", digest)
    with pytest.raises(ArtifactError, match="gguf_file_missing"):
        find_packaged_gguf("packaged_weights", "absent.gguf", digest)
    with pytest.raises(ArtifactError, match="gguf_package_missing"):
        find_packaged_gguf("no_such_package_here", "model.gguf", digest)


def test_streamed_safetensors_refuses_what_does_not_match(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    good = np.ones((2, 3), np.float16)
    write_float16(path, {"a": (2, 3), "b": (1,)}, iter([("a", good), ("b", np.zeros(1, np.float16))]))
    np.testing.assert_array_equal(load_file(path)["a"], good)
    for tensors in ([], [("b", good)], [("a", good.T)], [("a", good * np.float16(np.inf))]):
        with pytest.raises(ArtifactError, match="checkpoint_tensor"):
            write_float16(path, {"a": (2, 3)}, iter(tensors))


@pytest.mark.slow
def test_packaged_model_is_sane_and_rows_as_stored_would_ruin_it(tmp_path: Path) -> None:
    """Plain English twice over: reading it again needs heads that look back by position, which wrong rows break."""
    write_medical_checkpoint(GgufLlama(packaged_gguf()), tmp_path / "checkpoint", NoProgress())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32)
    text = (
        "The heart is a muscular organ that pumps blood through the body. The blood carries oxygen and nutrients to "
        "the tissues and takes carbon dioxide back to the lungs. "
    )
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        first, again = _perplexities(model, ids)
        prompt = tokenizer("The capital of France is", return_tensors="pt").input_ids
        answer = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False)
        for layer in model.model.layers:
            attention = layer.self_attn
            for projection, heads in ((attention.q_proj, 9), (attention.k_proj, 3)):
                projection.weight.copy_(torch.from_numpy(permuted(projection.weight.numpy(), heads)))
        _, ruined = _perplexities(model, ids)
    print(f"perplexity {first:.1f}, read again {again:.2f}, with rows as stored {ruined:.2f}")
    assert first < 15
    assert again < first / 2
    assert ruined > 1.5 * again
    assert "Paris" in tokenizer.decode(answer[0])


def _perplexities(model: LlamaForCausalLM, ids: torch.Tensor) -> tuple[float, float]:
    """Of a text, and of the same text read right after it."""
    length = ids.shape[1]
    logits = model(torch.cat([ids, ids], 1)).logits[0, :-1]
    losses = torch.nn.functional.cross_entropy(logits, torch.cat([ids, ids], 1)[0, 1:], reduction="none")
    return losses[: length - 1].mean().exp().item(), losses[length:].mean().exp().item()
