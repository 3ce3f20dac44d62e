"""Every way in which a checkpoint can be unusable ends in one ArtifactError of one line, and in no output."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from app.conversion import NoProgress, convert
from app.errors import ArtifactError
from tests.conversion.conftest import request_for

Damage = Callable[[Path], None]
INDEX = "model.safetensors.index.json"
Q_PROJ = "model.layers.1.self_attn.q_proj.weight"
PATCHES = "visual.patch_embed.proj.weight"


def shard_of(folder: Path, tensor: str) -> Path:
    return folder / json.loads((folder / INDEX).read_text())["weight_map"][tensor]


def missing_shard(folder: Path) -> None:
    shard_of(folder, Q_PROJ).unlink()


def truncated_shard(folder: Path) -> None:
    path = shard_of(folder, Q_PROJ)
    path.write_bytes(path.read_bytes()[:-100])


def empty_shard(folder: Path) -> None:
    shard_of(folder, Q_PROJ).write_bytes(b"")


def garbage_shard(folder: Path) -> None:
    shard_of(folder, Q_PROJ).write_bytes(b"<!DOCTYPE html>" * 1000)


def no_weights(folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()


def edit_json(name: str, change: Callable[[dict[str, Any]], None]) -> Damage:
    def damage(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return damage


def write(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content) and None


def remove(*names: str) -> Damage:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def edit_tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def damage(folder: Path) -> None:
        path = shard_of(folder, name)
        tensors = load_file(path)
        tensors[name] = change(tensors[name].clone()).contiguous()
        save_file(tensors, path)

    return damage


def config(**values: Any) -> Damage:
    return edit_json("config.json", lambda raw: raw.update(values))


def part(section: str, **values: Any) -> Damage:
    return edit_json("config.json", lambda raw: raw[section].update(values))


def poke(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[tensor.numel() // 2] = value
        return tensor

    return change


def drop_from_shard(folder: Path) -> None:
    path = shard_of(folder, Q_PROJ)
    tensors = load_file(path)
    del tensors[Q_PROJ]
    save_file(tensors or {"other": torch.zeros(1)}, path)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA: dict[str, tuple[Damage, str]] = {
    "missing shard": (missing_shard, "is missing"),
    "truncated shard": (truncated_shard, "cannot be read"),
    "empty shard": (empty_shard, "cannot be read"),
    "garbage shard": (garbage_shard, "cannot be read"),
    "no weights": (no_weights, "no weights are here"),
    "index is no JSON": (write(INDEX, b"{"), "cannot be read as JSON"),
    "index without a map": (write(INDEX, b"{}"), "weight_map"),
    "index leads out of the folder": (
        edit_json(INDEX, lambda raw: raw["weight_map"].update({Q_PROJ: "../other.safetensors"})),
        "weight_map",
    ),
    "index lacks a tensor": (edit_json(INDEX, lambda raw: raw["weight_map"].pop(Q_PROJ)), f"{Q_PROJ} is missing"),
    "shard lacks a tensor": (drop_from_shard, f"lacks tensor {Q_PROJ}"),
    "wrong shape": (edit_tensor(Q_PROJ, lambda tensor: tensor[:, :-1]), "config.json says"),
    "config wider than the weights": (config(hidden_size=256), "config.json says"),
    "config deeper than the weights": (config(num_hidden_layers=9), "layers.4."),
    "NaN": (edit_tensor(Q_PROJ, poke(math.nan)), f"{Q_PROJ} holds NaN"),
    "infinity": (edit_tensor(Q_PROJ, poke(math.inf)), f"{Q_PROJ} holds NaN or infinite"),
    "NaN in a norm": (edit_tensor("model.norm.weight", poke(math.nan)), "model.norm.weight holds NaN"),
    "embedding too large for float16": (edit_tensor("model.embed_tokens.weight", poke(1e6)), "float16"),
    "integer weights": (edit_tensor(Q_PROJ, lambda tensor: tensor.to(torch.int8)), "dtype I8"),
    "no config": (remove("config.json"), "config.json is missing"),
    "config is no JSON": (write("config.json", b"\xff\xfe"), "cannot be read as JSON"),
    "config is a list": (write("config.json", b"[]"), "not a JSON object"),
    "config is too deep": (write("config.json", b"[" * 100_000), "cannot be read as JSON"),
    "other class": (config(architectures=["GPT2LMHeadModel"]), "GPT2LMHeadModel"),
    "no class": (config(architectures=None), "architectures is None"),
    "quantised already": (config(quantization_config={"quant_method": "gptq"}), "quantised already"),
    "yarn": (config(rope_scaling=YARN), "yarn"),
    "unusable rope theta": (config(rope_theta=0), "frequencies"),
    "gelu": (config(hidden_act="gelu"), "gelu"),
    "no heads": (config(num_attention_heads=0, head_dim=None), "not a LlamaForCausalLM config"),
    "layers in words": (config(num_hidden_layers="four"), "no sense"),
    "no tokenizer": (remove("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"), "tokenizer"),
    "tokenizer is no JSON": (write("tokenizer.json", b"{"), "tokenizer cannot be read"),
    "head width": (config(head_dim=24), "multiple of 16"),
}
OMNI: dict[str, tuple[Damage, str]] = {
    "no preprocessor": (remove("preprocessor_config.json"), "preprocessor_config.json is missing"),
    "no pixel limits": (
        edit_json("preprocessor_config.json", lambda raw: [raw.pop(name) for name in ("min_pixels", "max_pixels")]),
        "min_pixels",
    ),
    "two colours": (edit_json("preprocessor_config.json", lambda raw: raw.update(image_mean=[0, 0])), "image_mean"),
    "no hop": (edit_json("preprocessor_config.json", lambda raw: raw.update(hop_length=0)), "hop_length"),
    "tower of another width": (part("vision_config", out_hidden_size=64), "vision_config gives 64"),
    "audio tower of another width": (part("audio_config", output_dim=64), "audio_config gives 64"),
    "tower of another depth": (part("vision_config", depth=9), "visual.blocks.4."),
    "patches of another size": (part("vision_config", patch_size=16, window_size=128), "config.json says"),
    "NaN in a tower": (edit_tensor(PATCHES, poke(math.nan)), f"{PATCHES} holds NaN"),
    "vision section is a number": (config(vision_config=3), "config"),
}


def assert_refused(folder: Path, output: Path, reason: str, quantization: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        convert(request_for(folder, output, quantization=quantization), NoProgress())
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(output.parent.glob("*out*")) == []


@pytest.mark.parametrize("case", LLAMA)
def test_damaged_text_decoder(case, tmp_path, checkpoint):
    damage, reason = LLAMA[case]
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint")
    damage(folder)
    assert_refused(folder, tmp_path / "out", reason, "int4")


@pytest.mark.parametrize("case", OMNI)
def test_damaged_thinker(case, tmp_path, checkpoint):
    damage, reason = OMNI[case]
    folder = shutil.copytree(checkpoint("thinker"), tmp_path / "checkpoint")
    damage(folder)
    assert_refused(folder, tmp_path / "out", reason, "int8")


def test_missing_checkpoint(tmp_path):
    assert_refused(tmp_path / "nowhere", tmp_path / "out", "config.json is missing", "none")


@pytest.mark.parametrize("cut_layer", [0, -1, 5])
def test_cut_layer_outside_the_model(cut_layer, tmp_path, checkpoint):
    with pytest.raises(ArtifactError, match="conversion_cut_layer"):
        convert(request_for(checkpoint("llama"), tmp_path / "out", cut_layer=cut_layer), NoProgress())


@pytest.mark.parametrize("settings", [{"block_size": 48}, {"block_size": 0}, {"max_pixels": 0}, {"slot": "omni"}])
def test_settings_that_make_no_sense(settings, tmp_path, checkpoint):
    with pytest.raises(ArtifactError, match="conversion_"):
        convert(request_for(checkpoint("llama"), tmp_path / "out", **settings), NoProgress())


def test_only_what_is_read_has_to_be_there(tmp_path, checkpoint, converted):
    """A full omni folder whose talker was never downloaded, and layers past the cut, convert all the same."""
    folder = shutil.copytree(checkpoint("omni"), tmp_path / "checkpoint")
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    unread = ("talker.", "token2wav.", "thinker.lm_head.", "thinker.model.layers.2.", "thinker.model.norm.")
    needed = {shard for name, shard in weight_map.items() if not name.startswith(unread)}
    dropped = set(weight_map.values()) - needed
    assert dropped
    for shard in dropped:
        (folder / shard).unlink()
    manifest = convert(request_for(folder, tmp_path / "out", cut_layer=2), NoProgress())
    got, expected = (
        np.fromfile(f / "decoder.onnx.data", np.uint8) for f in (tmp_path / "out", converted("omni", "none", 2))
    )
    assert np.array_equal(got, expected)
    assert manifest.decoder.cut_layer == 2
