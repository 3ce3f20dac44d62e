"""The embedded pair: the thinker that is made of a Llama and two towers, and when it is built again."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaForCausalLM, Qwen2_5OmniThinkerForConditionalGeneration

from app.conversion import NoProgress
from app.conversion.embedded import MEMBERS, STAMP_NAME, EmbeddedOptions, build_embedded
from app.conversion.embedded_checkpoints import (
    OMNI_TOKEN_NAMES,
    TOWER_FILES,
    write_medical_checkpoint,
    write_omni_checkpoint,
)
from app.conversion.gguf import GgufLlama
from app.encoders.manifest import Manifest
from app.errors import ArtifactError
from app.training.towers.audio_batch import audio_spec, new_audio_encoder
from app.training.towers.store import AUDIO_CONFIG, VISION_CONFIG, save_towers
from app.training.towers.vision_batch import vision_spec
from app.training.towers.vision_init import new_vision_encoder
from tests.conversion.tiny_gguf import HIDDEN, vocabulary, write_tiny_gguf

OPTIONS = EmbeddedOptions(omni_cut_layer=1, medical_cut_layer=1)
COMMITTED = Path(__file__).resolve().parents[2] / "models" / "embedded" / "towers"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_tiny_gguf(path)
    return path


@pytest.fixture(scope="module")
def tiny_towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    vision = new_vision_encoder(
        {**VISION_CONFIG, "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "window_size": 112}
        | {"out_hidden_size": HIDDEN, "fullatt_block_indexes": [1]},
        seed=0,
    )
    audio = new_audio_encoder(
        {**AUDIO_CONFIG, "d_model": 32, "encoder_layers": 1, "encoder_ffn_dim": 48, "output_dim": HIDDEN}, seed=0
    )
    save_towers(vision, audio, (vision_spec(vision, 56 * 56, 112 * 112), audio_spec(audio)), folder)
    return folder


@pytest.fixture
def towers(tiny_towers: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_towers, tmp_path / "towers"))


def build(gguf: Path, towers: Path, output: Path, options: EmbeddedOptions = OPTIONS) -> bool:
    return build_embedded(gguf, towers, output, NoProgress(), options)


def state(folder: Path) -> dict[str, int]:
    """Every file under the folder and when it was written, hidden ones left out."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


# --------------------------------------------------------------------------- the thinker checkpoint
def test_thinker_loads_whole_and_reads_text_as_the_llama_does(gguf: Path, towers: Path, tmp_path: Path) -> None:
    llama = GgufLlama(gguf)
    write_medical_checkpoint(llama, tmp_path / "llama", NoProgress())
    write_omni_checkpoint(llama, towers, tmp_path / "thinker", NoProgress())
    thinker, info = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        tmp_path / "thinker", dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values())
    plain = LlamaForCausalLM.from_pretrained(tmp_path / "llama", dtype=torch.float32)
    ids = torch.tensor([[1, 30, 31, 90, 140, 200, 2, 60]])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        ours = thinker.eval()(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        theirs = plain.eval()(input_ids=ids, output_hidden_states=True)
    for got, expected in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-5, rtol=1e-5)


def test_thinker_reads_an_image_and_a_sound(gguf: Path, towers: Path, tmp_path: Path) -> None:
    write_omni_checkpoint(GgufLlama(gguf), towers, tmp_path / "thinker", NoProgress())
    thinker = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(tmp_path / "thinker", dtype=torch.float32)
    config = thinker.config
    brackets = [config.vision_start_token_id, config.vision_end_token_id]
    image = [brackets[0], *[config.image_token_index] * 4, brackets[1]]
    sound = [config.audio_start_token_id, *[config.audio_token_index] * 25, config.audio_end_token_id]
    ids = torch.tensor([[1, 30, *image, *sound]])
    with torch.no_grad():
        output = thinker.eval()(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=torch.randn(16, 3 * 2 * 14 * 14),
            image_grid_thw=torch.tensor([[1, 4, 4]]),
            input_features=torch.randn(1, 128, 100),
            feature_attention_mask=torch.ones(1, 100, dtype=torch.long),
        )
    assert output.logits.shape == (1, ids.shape[1], len(vocabulary()))
    assert torch.isfinite(output.logits).all()


def test_omni_tokens_take_unused_ids_and_the_vocabulary_keeps_its_size(
    gguf: Path, towers: Path, tmp_path: Path
) -> None:
    write_omni_checkpoint(GgufLlama(gguf), towers, tmp_path / "thinker", NoProgress())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "thinker")
    assert len(tokenizer) == len(vocabulary())
    for old, new in OMNI_TOKEN_NAMES.items():
        assert tokenizer.convert_tokens_to_ids(new) == vocabulary().index(old)
        assert tokenizer(new).input_ids == [vocabulary().index(old)]
        assert len(tokenizer(old).input_ids) > 1
    assert (tokenizer.image_token, tokenizer.audio_bos_token) == ("<|IMAGE|>", "<|audio_bos|>")
    assert tokenizer("<|im_start|>user\n").input_ids[0] == 1


def test_a_token_that_is_in_use_is_not_renamed(gguf: Path) -> None:
    known = GgufLlama(gguf).vocabulary
    for names in ({"user": "<|IMAGE|>"}, {"<absent>": "<|IMAGE|>"}, {"<repo_name>": "user"}):
        with pytest.raises(ArtifactError, match="tokenizer_rename_impossible"):
            known.renamed(names)


# --------------------------------------------------------------------------- building
def test_build_makes_both_folders_and_nothing_else(gguf: Path, towers: Path, tmp_path: Path) -> None:
    output = tmp_path / "build"
    assert build(gguf, towers, output)
    omni, medical = (Manifest.load(output / member) for member in ("omni", "medical"))
    assert (omni.architecture, medical.architecture) == (
        "Qwen2_5OmniThinkerForConditionalGeneration",
        "LlamaForCausalLM",
    )
    for manifest in (omni, medical):
        assert (manifest.quantization, manifest.decoder.cut_layer, manifest.decoder.layers) == ("int8", 1, 2)
        assert manifest.prompt_prefix == "<|im_start|>user\n"
        assert manifest.bos_token_id is None
    assert omni.decoder.mrope_section == (4, 6, 6)
    assert omni.vision is not None
    assert omni.vision.max_pixels == 112 * 112
    assert {path.name for path in output.iterdir()} == {*MEMBERS, STAMP_NAME, ".lock"}


def test_unchanged_inputs_are_not_built_again(gguf: Path, towers: Path, tmp_path: Path) -> None:
    output = tmp_path / "build"
    build(gguf, towers, output)
    before = state(output)
    assert not build(gguf, towers, output)
    assert state(output) == before


def test_changed_inputs_options_and_damage_are_built_again(gguf: Path, towers: Path, tmp_path: Path) -> None:
    output = tmp_path / "build"
    build(gguf, towers, output)
    first = Manifest.load(output / "omni")
    preprocessor = towers / "preprocessor_config.json"
    preprocessor.write_text(preprocessor.read_text() + "\n")
    assert build(gguf, towers, output)
    assert Manifest.load(output / "omni").source_revision != first.source_revision
    assert build(gguf, towers, output, EmbeddedOptions(omni_cut_layer=2, medical_cut_layer=2))
    assert Manifest.load(output / "medical").decoder.cut_layer == 2
    weights = output / "omni" / "decoder.onnx.data"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(bytes(damaged))
    assert build(gguf, towers, output, EmbeddedOptions(omni_cut_layer=2, medical_cut_layer=2))
    (output / STAMP_NAME).unlink()
    assert build(gguf, towers, output, EmbeddedOptions(omni_cut_layer=2, medical_cut_layer=2))
    assert not build(gguf, towers, output, EmbeddedOptions(omni_cut_layer=2, medical_cut_layer=2))


def test_a_build_that_fails_or_is_interrupted_leaves_the_old_pair(
    gguf: Path, towers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "build"
    build(gguf, towers, output)
    before = state(output)
    with monkeypatch.context() as broken:
        broken.setattr("app.conversion.embedded.write_omni_checkpoint", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(gguf, towers, output, EmbeddedOptions(omni_cut_layer=2, medical_cut_layer=2))
    (towers / "vision.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="tower_unreadable"):
        build(gguf, towers, output)
    (towers / "vision.safetensors").unlink()
    with pytest.raises(ArtifactError, match="tower_missing"):
        build(gguf, towers, output)
    assert state(output) == before
    assert not (output / ".partial").exists()


def test_an_interrupted_first_build_leaves_nothing_that_loads(
    gguf: Path, towers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "build"
    with monkeypatch.context() as broken:
        broken.setattr("app.conversion.embedded.write_omni_checkpoint", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(gguf, towers, output)
    for member in MEMBERS:
        with pytest.raises(ArtifactError, match="model_not_found"):
            Manifest.load(output / member)


def test_what_a_killed_build_left_behind_is_cleared(gguf: Path, towers: Path, tmp_path: Path) -> None:
    left = tmp_path / "build" / ".partial" / "checkpoint"
    left.mkdir(parents=True)
    (left / "config.json").write_text("{")
    assert build(gguf, towers, tmp_path / "build")
    assert not left.exists()


def test_two_builders_at_once_build_once(gguf: Path, towers: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda _: build(gguf, towers, tmp_path / "build"), range(2)))
    assert sorted(built) == [False, True]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


# --------------------------------------------------------------------------- what is in git
def test_committed_towers_fit_their_classes_and_are_small() -> None:
    vision = new_vision_encoder(VISION_CONFIG, 0)
    audio = new_audio_encoder(AUDIO_CONFIG, 0)
    for name, tower in (("vision", vision), ("audio", audio)):
        weights = load_file(COMMITTED / f"{name}.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        tower.load_state_dict(weights)
        assert all(np.isfinite(weight.float().numpy()).all() for weight in weights.values())
    assert (vision.config.out_hidden_size, audio.config.output_dim) == (576, 576)
    assert sum((COMMITTED / name).stat().st_size for name in TOWER_FILES) < 12e6
