"""`pytorch_model*.bin`: every tensor as torch reads it, nothing executed, one line for what is not read."""

from __future__ import annotations

import collections
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from app.conversion import NoProgress, convert
from app.conversion.checkpoint import Checkpoint
from app.conversion.pickled import Pickled
from app.conversion.shards import ShardError
from app.errors import ArtifactError
from tests.conversion.conftest import request_for

BIN = "pytorch_model.bin"
Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for shard in folder.glob("*.safetensors") for name, tensor in load_file(shard).items()}


def pickle_weights(folder: Path, shards: int, save: Callable[..., None] = torch.save) -> dict[str, torch.Tensor]:
    """Put .bin files, as transformers wrote them, in place of a folder's safetensors files."""
    weights = weights_of(folder)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    if shards == 1:
        save(collections.OrderedDict(weights), folder / BIN)
        return weights
    names = [f"pytorch_model-{number + 1:05d}-of-{shards:05d}.bin" for number in range(shards)]
    weight_map = {name: names[number % shards] for number, name in enumerate(weights)}
    for shard in names:
        save({name: weights[name] for name in weights if weight_map[name] == shard}, folder / shard)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{BIN}.index.json").write_text(json.dumps(index))
    return weights


@pytest.fixture
def folder(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint"))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_bin_checkpoint_converts_to_the_same_bytes(shards, folder, tmp_path, converted):
    pickle_weights(folder, shards)
    convert(request_for(folder, tmp_path / "out"), NoProgress())
    for name in ("decoder.onnx", "decoder.onnx.data", "token_embedding.npy", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (converted("llama") / name).read_bytes(), name


def test_safetensors_are_preferred_where_both_are_there(folder, tmp_path):
    (folder / BIN).write_bytes(b"not looked at")
    convert(request_for(folder, tmp_path / "out"), NoProgress())


BASE = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
VIEWS = {
    "plain": BASE.clone(),
    "transposed": BASE.t(),
    "inside of a larger one": BASE[5:30, 3:20],
    "every other row": BASE[::2],
    "expanded": BASE[:1].expand(7, 24),
    "permuted convolution": BASE.reshape(10, 4, 24).permute(2, 0, 1),
    "vector": BASE[:, 3],
    "parameter": torch.nn.Parameter(BASE.clone()),
    "bfloat16": BASE.to(torch.bfloat16).t(),
    "float16": BASE.to(torch.float16)[3:],
    "float16 subnormal": torch.full((4, 4), 3e-7, dtype=torch.float16),
}


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_read_as_torch_reads_it(name, tmp_path):
    torch.save({"before": BASE, name: VIEWS[name], "integers": torch.arange(5)}, tmp_path / BIN)
    reader = Pickled()
    info = reader.header(tmp_path / BIN)[name]
    expected = torch.load(tmp_path / BIN, weights_only=True)[name].detach().float().numpy()
    assert (info.shape, info.shard) == (expected.shape, BIN)
    rows = len(expected)
    parts = [reader.rows(tmp_path / BIN, name, start, min(start + 3, rows)) for start in range(0, rows, 3)]
    assert np.array_equal(np.concatenate(parts), expected.reshape(rows, -1))
    parts[0][...] = 0  # of the caller's own memory: the file does not change
    assert np.array_equal(reader.rows(tmp_path / BIN, name, 0, rows), expected.reshape(rows, -1))


def test_the_names_that_published_files_use_are_read(tmp_path):
    """BioMistral's file rebuilds its tensors through `_rebuild_from_type_v2`."""
    tensor = BASE.clone()
    tensor.note = "an attribute makes torch take that way"
    torch.save(collections.OrderedDict(weight=tensor), tmp_path / BIN)
    assert b"_rebuild_from_type_v2" in (tmp_path / BIN).read_bytes()
    reader = Pickled()
    reader.header(tmp_path / BIN)
    assert np.array_equal(reader.rows(tmp_path / BIN, "weight", 0, 40), BASE.numpy())


class _Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def old_format(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def damaged_bin(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        torch.save(change(weights_of(folder)), folder / BIN)

    return damage


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        damaged_bin(dict)(folder)
        (folder / BIN).write_bytes(change((folder / BIN).read_bytes()))

    return damage


def replaced(name: str, value: object) -> Callable[[Path], None]:
    return damaged_bin(lambda weights: {**weights, name: value})


def poisoned(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights[Q_PROJ][1, 2] = torch.nan
    return weights


def compressed(folder: Path) -> None:
    damaged_bin(dict)(folder)
    shutil.copyfile(folder / BIN, folder / "plain.zip")
    with (
        zipfile.ZipFile(folder / "plain.zip") as old,
        zipfile.ZipFile(folder / BIN, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))


def pickled_by_hand(folder: Path) -> None:
    (folder / BIN).write_bytes(pickle.dumps({"model.norm.weight": [1.0]}))


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "code": (replaced("model.extra", _Harmful()), "posix.system"),
    "old format": (
        lambda folder: old_format(weights_of(folder), folder / BIN),
        "before 1.6: convert it to safetensors",
    ),
    "bare pickle": (pickled_by_hand, "convert it to safetensors"),
    "truncated": (bytes_of(lambda data: data[: len(data) // 2]), "truncated"),
    "empty": (bytes_of(lambda _: b""), "truncated"),
    "compressed": (compressed, "compressed"),
    "nested": (damaged_bin(lambda weights: {"state_dict": weights}), "other than tensors by name"),
    "a list": (damaged_bin(lambda weights: list(weights.values())), "other than tensors by name"),
    "lacks a tensor": (damaged_bin(lambda w: {k: v for k, v in w.items() if k != Q_PROJ}), f"{Q_PROJ} is missing"),
    "wrong shape": (replaced(Q_PROJ, torch.zeros(3, 4)), "config.json says"),
    "float64": (replaced(Q_PROJ, torch.zeros(128, 128, dtype=torch.float64)), "dtype F64"),
    "int8": (replaced(Q_PROJ, torch.zeros(128, 128, dtype=torch.int8)), "dtype I8"),
    "sparse": (replaced(Q_PROJ, torch.eye(128).to_sparse()), "_rebuild_sparse_tensor"),
    "NaN": (damaged_bin(poisoned), f"{Q_PROJ} holds NaN"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_refused_in_one_line(case, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage, reason = REFUSED[case]
    damage(folder)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    with pytest.raises(ArtifactError) as caught:
        convert(request_for(folder, tmp_path / "out"), NoProgress())
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "out").exists()


def test_missing_shard_of_many(folder, tmp_path):
    pickle_weights(folder, 3)
    (folder / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(ArtifactError, match=r"pytorch_model-00002-of-00003\.bin is missing"):
        convert(request_for(folder, tmp_path / "out"), NoProgress())


@pytest.mark.parametrize("shard", ["../other.bin", "weights.pt", 3, ""])
def test_an_index_may_only_name_weight_files_of_the_folder(shard, folder):
    pickle_weights(folder, 2)
    index = folder / f"{BIN}.index.json"
    raw = json.loads(index.read_text())
    raw["weight_map"][Q_PROJ] = shard
    index.write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match="weight_map"):
        Checkpoint.open(folder, NoProgress().advance)


def test_a_tensor_may_not_reach_out_of_its_storage(tmp_path):
    """torch never writes such a file; a mapping that believed it would read foreign bytes or crash the process."""
    tensor = torch.zeros(8, 8)
    torch.save({"weight": tensor}, tmp_path / BIN)
    data = (tmp_path / BIN).read_bytes()
    shape = b"K\x08K\x08\x86q"  # (8, 8), the shape
    assert data.count(shape) == 1
    (tmp_path / BIN).write_bytes(data.replace(shape, b"K\x08K\x09\x86q"))
    with pytest.raises(ShardError, match="reaches out"):
        Pickled().header(tmp_path / BIN)


def test_damaged_bytes_never_raise_anything_else(tmp_path):
    """Every byte of the pickle is flipped in turn: the file is read or refused, nothing else happens."""
    torch.save({"weight": torch.zeros(4, 4)}, tmp_path / BIN)
    data = bytearray((tmp_path / BIN).read_bytes())
    start = data.index(b"\x80\x02")
    end = data.index(b".PK", start)
    generator = random.Random(0)
    refusals: list[str] = []
    tries = 0
    for place in range(start, end):
        for _ in range(4):
            changed = data.copy()
            changed[place] ^= generator.randrange(1, 256)
            (tmp_path / BIN).write_bytes(changed)
            tries += 1
            try:
                reader = Pickled()
                infos = reader.header(tmp_path / BIN)
                for name, info in infos.items():
                    if info.dtype == "F32" and info.shape == (4, 4):
                        reader.rows(tmp_path / BIN, name, 0, 4)
            except ShardError as error:
                refusals.append(str(error))
    print(f"{len(refusals)} of {tries} damaged files refused")
    assert 20 < len(refusals) < tries
    assert not any("\n" in refusal for refusal in refusals)
