"""The decoder graphs against transformers, number by number in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.conversion import NoProgress, convert
from app.encoders.manifest import Manifest
from tests.checkpoints import load_reference, write_llama
from tests.conversion.conftest import request_for
from tests.conversion.host import run_decoder

TOLERANCE = 1e-4
TEXT_DECODERS = (
    *("llama", "llama3", "linear", "biased", "ragged", "qwen2", "mistral"),
    *("qwen2_sliding", "mistral_sliding"),
)


def embeddings(length: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((length, width)).astype(np.float32)


@torch.no_grad()
def hidden_states(model, embeds: np.ndarray, positions: np.ndarray | None = None) -> list[np.ndarray]:
    """transformers' hidden_states, each (seq, hidden)."""
    ids = None if positions is None else torch.from_numpy(positions)[:, None]
    output = model.model(
        inputs_embeds=torch.from_numpy(embeds)[None], position_ids=ids, use_cache=False, output_hidden_states=True
    )
    return [state[0].numpy() for state in output.hidden_states]


@pytest.mark.parametrize("name", TEXT_DECODERS)
def test_text_decoder_equals_transformers(name, converted, reference):
    folder = converted(name)
    spec = Manifest.load(folder).decoder
    for length in (1, 2, 17, 64, 301):
        embeds = embeddings(length, spec.hidden_size, length)
        expected = hidden_states(reference(name), embeds)[-1]
        got = run_decoder(folder / "decoder.onnx", spec, embeds, np.arange(length))
        assert np.abs(got - expected).max() <= TOLERANCE, length


@pytest.mark.parametrize("name", ["thinker", "omni"])
def test_omni_decoder_equals_transformers_at_three_axis_positions(name, converted, reference):
    folder = converted(name)
    spec = Manifest.load(folder).decoder
    assert spec.mrope_section == (4, 6, 6)
    for length in (1, 17, 64, 301):
        embeds = embeddings(length, spec.hidden_size, length)
        positions = np.random.default_rng(length).integers(0, 5, (3, length)).cumsum(axis=1)
        expected = hidden_states(reference(name), embeds, positions)[-1]
        got = run_decoder(folder / "decoder.onnx", spec, embeds, positions)
        assert np.abs(got - expected).max() <= TOLERANCE, length


@pytest.mark.parametrize("name", ["llama", "mistral_sliding", "omni"])
@pytest.mark.parametrize("cut_layer", [1, 2, 3])
def test_cut_layer_equals_hidden_states_at_k(name, cut_layer, converted, reference):
    folder = converted(name, "none", cut_layer)
    spec = Manifest.load(folder).decoder
    assert (spec.cut_layer, spec.layers) == (cut_layer, 3 if name == "omni" else 4)
    embeds = embeddings(33, spec.hidden_size)
    positions = np.arange(33)
    axes = np.stack([positions] * 3) if name == "omni" else positions
    expected = hidden_states(reference(name), embeds, axes if name == "omni" else None)[cut_layer]
    got = run_decoder(folder / "decoder.onnx", spec, embeds, axes)
    assert np.abs(got - expected).max() <= TOLERANCE


def test_positions_matter(converted):
    """Parity at one set of positions would also hold for a graph that ignores them."""
    folder = converted("omni")
    spec = Manifest.load(folder).decoder
    embeds = embeddings(17, spec.hidden_size)
    plain = np.stack([np.arange(17)] * 3)
    stretched = plain * np.array([[1], [3], [1]])
    first, second = (run_decoder(folder / "decoder.onnx", spec, embeds, at) for at in (plain, stretched))
    assert np.abs(first - second).max() > 0.01


def test_sliding_window_is_noted_and_applied(converted):
    """A token more than 8 back changes nothing in the first layer's output."""
    folder = converted("mistral_sliding", "none", 1)
    spec = Manifest.load(folder).decoder
    assert spec.sliding_window == 8
    embeds = embeddings(20, spec.hidden_size)
    changed = embeds.copy()
    changed[0] += 1
    first, second = (run_decoder(folder / "decoder.onnx", spec, x, np.arange(20)) for x in (embeds, changed))
    assert np.abs(first - second)[8:].max() == 0
    assert np.abs(first - second)[7].max() > 0


def test_bfloat16_checkpoint_is_read_exactly(tmp_path):
    model = load_reference(write_llama(tmp_path / "float32")).to(torch.bfloat16)
    folder = write_llama(tmp_path / "bfloat16")
    for shard in folder.glob("*.safetensors*"):
        shard.unlink()
    model.save_pretrained(folder)
    manifest = convert(request_for(folder, tmp_path / "out"), NoProgress())
    embeds = embeddings(17, 128)
    expected = hidden_states(load_reference(folder), embeds)[-1]
    got = run_decoder(tmp_path / "out" / "decoder.onnx", manifest.decoder, embeds, np.arange(17))
    assert np.abs(got - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("quantization", "dtype"), [("none", np.float32), ("fp16", np.float16), ("int8", np.float16), ("int4", np.float16)]
)
def test_token_embedding_is_the_checkpoints(quantization, dtype, converted, reference):
    table = np.load(converted("llama", quantization) / "token_embedding.npy", mmap_mode="r")
    expected = reference("llama").get_input_embeddings().weight.detach().numpy()
    assert table.dtype == dtype
    assert np.array_equal(table, expected.astype(dtype))
