"""A conversion that was interrupted goes on after its last whole section; one that is another begins anew."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.conversion import NoProgress, convert, pipeline, token_embedding
from app.conversion.external_data import SectionFile
from app.conversion.journal import Journal
from app.encoders.manifest import file_sha256
from app.errors import ArtifactError
from tests.checkpoints import write_llama
from tests.conversion.conftest import request_for

WEIGHTS = {"token embedding", "decoder", "vision tower", "audio tower"}


class Counting(NoProgress):
    """Weights read and weights skipped, by stage; `stop` may raise at a detail of a stage."""

    def __init__(self, stop: tuple[str, str] | None = None) -> None:
        self.read: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.totals: dict[str, int] = {}
        self._stop, self._stage = stop, ""

    def stage(self, name: str, total: int) -> None:
        self._stage, self.totals[name] = name, total

    def detail(self, text: str) -> None:
        if (self._stage, text) == self._stop:
            raise KeyboardInterrupt

    def advance(self, amount: int) -> None:
        self.read[self._stage] += amount

    def skip(self, amount: int) -> None:
        self.skipped[self._stage] += amount


def contents(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


def interrupted(folder: Path, output: Path, at: tuple[str, str] = ("vision tower", "block 3/4"), **settings) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder, output, quantization="int8", **settings), Counting(at))


def resumed(folder: Path, output: Path, **settings) -> Counting:
    progress = Counting()
    convert(request_for(folder, output, quantization="int8", **settings), progress)
    for stage in WEIGHTS & progress.totals.keys():
        assert progress.read[stage] + progress.skipped[stage] == progress.totals[stage], stage
    return progress


def partial(output: Path) -> Path:
    return output.with_name(f".{output.name}.partial")


# --------------------------------------------------------------------------- going on
def test_what_is_finished_is_not_read_again(tmp_path, checkpoint, converted):
    output = tmp_path / "out"
    interrupted(checkpoint("omni"), output)
    progress = resumed(checkpoint("omni"), output)
    assert progress.read["token embedding"] == progress.read["decoder"] == 0
    assert 0 < progress.read["vision tower"] < progress.totals["vision tower"]
    assert progress.read["audio tower"] == progress.totals["audio tower"]
    assert progress.totals["checking earlier work"] == progress.read["checking earlier work"] > 0
    assert contents(output) == contents(converted("omni", "int8"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_interrupted_again_and_again(tmp_path, checkpoint, converted):
    output = tmp_path / "out"
    stops = (
        ("decoder", "layer 2/3"),
        ("decoder", "layer 3/3"),
        ("vision tower", "merger"),
        ("audio tower", "layer 2/2"),
    )
    for stop in stops:
        interrupted(checkpoint("omni"), output, stop)
    assert resumed(checkpoint("omni"), output).read["vision tower"] == 0
    assert contents(output) == contents(converted("omni", "int8"))


def test_the_token_embedding_is_kept_in_parts(tmp_path, checkpoint, converted, monkeypatch):
    monkeypatch.setattr(token_embedding, "SLICE_WEIGHTS", 128)
    rows = np.load(converted("llama", "int8") / "token_embedding.npy", mmap_mode="r").shape[0]
    assert rows > 300
    output = tmp_path / "out"
    interrupted(checkpoint("llama"), output, ("token embedding", f"row 320/{rows}"))
    progress = resumed(checkpoint("llama"), output)
    assert progress.skipped["token embedding"] == 288 * 128
    assert contents(output) == contents(converted("llama", "int8"))


def test_what_only_the_manifest_tells_does_not_cost_the_work(tmp_path, checkpoint):
    output = tmp_path / "out"
    interrupted(checkpoint("omni"), output)
    progress = resumed(checkpoint("omni"), output, prompt_prefix="<|im_start|>", source_revision="1")
    assert progress.read["decoder"] == 0


# --------------------------------------------------------------------------- beginning anew
def touch_a_shard(folder: Path) -> None:
    """One that is read: the talker's are not."""
    shards = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    name = next(name for name in ("thinker.model.norm.weight", "model.norm.weight") if name in shards)
    os.utime(folder / shards[name], ns=(0, 1))


def change_the_config(folder: Path) -> None:
    with (folder / "config.json").open("a") as handle:
        handle.write("\n")


def change_the_tokenizer(folder: Path) -> None:
    with (folder / "tokenizer_config.json").open("a") as handle:
        handle.write("\n")


@pytest.mark.parametrize("change", [touch_a_shard, change_the_config, change_the_tokenizer])
def test_a_changed_checkpoint_begins_anew(change: Callable[[Path], None], tmp_path, checkpoint):
    folder = shutil.copytree(checkpoint("omni"), tmp_path / "checkpoint")
    output = tmp_path / "models" / "out"
    interrupted(folder, output)
    change(folder)
    assert not resumed(folder, output).skipped


def test_other_settings_begin_anew_and_leave_no_file_of_before(tmp_path, checkpoint, converted):
    output = tmp_path / "out"
    interrupted(checkpoint("omni"), output)
    assert not resumed(checkpoint("omni"), output, cut_layer=2).skipped
    interrupted(checkpoint("omni"), output)
    assert not resumed(checkpoint("llama"), output).skipped
    assert contents(output) == contents(converted("llama", "int8"))


def test_a_checkpoint_that_changes_meanwhile_is_refused(tmp_path, checkpoint):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint")

    class Touch(NoProgress):
        def stage(self, name: str, total: int) -> None:
            if name == "hashing":
                touch_a_shard(folder)

    with pytest.raises(ArtifactError, match="changed while"):
        convert(request_for(folder, tmp_path / "models" / "out"), Touch())
    assert list((tmp_path / "models").iterdir()) == []


# --------------------------------------------------------------------------- damaged partial work
def flip_a_byte(folder: Path) -> None:
    """In the second decoder layer, of which nothing but its section and those behind it must be read again."""
    with (folder / "model" / "decoder.onnx.data").open("r+b") as handle:
        section = next(one for one in sections(folder) if one.name == "L1")
        handle.seek((section.start + section.stop) // 2)
        value = handle.read(1)[0] ^ 0xFF
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([value]))


def cut_the_data(folder: Path) -> None:
    os.truncate(
        folder / "model" / "decoder.onnx.data", next(one for one in sections(folder) if one.name == "L1").stop - 1
    )


def remove_the_data(folder: Path) -> None:
    (folder / "model" / "decoder.onnx.data").unlink()


def tear_the_journal(folder: Path) -> None:
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(index for index, line in enumerate(lines) if b'"name":"L1"' in line)
    path.write_bytes(b"".join(lines[:at]) + lines[at][:-20])


def garble_the_journal(folder: Path) -> None:
    (folder / "journal.jsonl").write_bytes(os.urandom(3000))


def sections(folder: Path):
    identity = (folder / "journal.jsonl").read_text().split('"')[3]
    return Journal.open(folder / "journal.jsonl", identity).of("decoder.onnx.data")


@pytest.mark.parametrize(
    ("damage", "layers_kept"),
    [(flip_a_byte, 1), (cut_the_data, 1), (remove_the_data, 0), (tear_the_journal, 1), (garble_the_journal, 0)],
)
def test_damaged_work_is_done_again(damage: Callable[[Path], None], layers_kept, tmp_path, checkpoint, converted):
    output = tmp_path / "out"
    interrupted(checkpoint("omni"), output)
    damage(partial(output))
    progress = resumed(checkpoint("omni"), output)
    layers = progress.totals["decoder"] / 3
    assert layers_kept == pytest.approx(progress.skipped["decoder"] / layers, abs=0.01)
    assert contents(output) == contents(converted("omni", "int8"))


def test_a_damaged_checkpoint_takes_its_work_with_it(tmp_path):
    """NaN in the last of three layers, found once the first two are written."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = write_llama(tmp_path / "checkpoint", num_hidden_layers=3, shard="100MB")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    output = tmp_path / "models" / "out"
    interrupted(folder, output, ("decoder", "layer 3/3"))
    assert partial(output).is_dir()
    with pytest.raises(ArtifactError, match="holds NaN"):
        convert(request_for(folder, output, quantization="int8"), NoProgress())
    assert list(output.parent.iterdir()) == []


# --------------------------------------------------------------------------- a full disk
def test_a_full_disk_keeps_the_work(tmp_path, checkpoint, converted, monkeypatch):
    output = tmp_path / "out"
    written = SectionFile.write
    budget = iter(range(60))

    def write(self, data) -> None:
        if next(budget, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "decoder.onnx.data")
        written(self, data)

    monkeypatch.setattr(SectionFile, "write", write)
    with pytest.raises(OSError, match="No space left"):
        convert(request_for(checkpoint("omni"), output, quantization="int8"), NoProgress())
    monkeypatch.setattr(SectionFile, "write", written)
    assert not list(tmp_path.rglob("manifest.json"))
    assert resumed(checkpoint("omni"), output).skipped["token embedding"] > 0
    assert contents(output) == contents(converted("omni", "int8"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """3 MiB of file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk, checkpoint, converted, monkeypatch):
    """Something else fills it while the conversion runs, and is gone when the command is run again."""
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * (2 << 20))
    monkeypatch.setattr(pipeline, "check_space", lambda plan: None)
    output = small_disk / "out"
    with pytest.raises(OSError, match="No space left") as caught:
        convert(request_for(checkpoint("omni"), output, quantization="int8"), NoProgress())
    assert str(caught.value.filename).startswith(str(partial(output)))
    assert not list(small_disk.rglob("manifest.json"))
    filler.unlink()
    assert resumed(checkpoint("omni"), output).skipped["token embedding"] > 0
    assert contents(output) == contents(converted("omni", "int8"))


def test_the_space_that_earlier_work_takes_is_not_asked_for_twice(tmp_path, checkpoint, monkeypatch):
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
        with pytest.raises(ArtifactError, match="disk_full") as caught:
            convert(request_for(checkpoint("omni"), output, quantization="int8"), NoProgress())
    interrupted(checkpoint("omni"), output)
    left = sum(path.stat().st_size for path in partial(output).rglob("*") if path.is_file())
    free = (caught.value.params["needed_mib"] << 20) - left
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    assert resumed(checkpoint("omni"), output).skipped["decoder"] > 0
