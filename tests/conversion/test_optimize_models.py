"""scripts/optimize_models.py as a user runs it."""

from __future__ import annotations

import errno
import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from app.conversion.external_data import SectionFile
from app.encoders.manifest import Manifest
from tests.checkpoints import write_llama
from tests.conversion.test_damaged_checkpoints import (
    Q_PROJ,
    config,
    edit_tensor,
    missing_shard,
    poke,
    truncated_shard,
)

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "optimize_models.py"
SOURCE = ["--source", "tests/tiny", "--source-revision", "0"]
WHOLE = ("--cut-layer", "all")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, cwd="/")


def test_converts_and_verifies(tmp_path, checkpoint):
    output = tmp_path / "omni"
    arguments = ["--slot", "omni", "--checkpoint", checkpoint("omni"), "--output", output, "--cut-layer", "2", *SOURCE]
    converted = run(*arguments, "--quantization", "int8")
    assert converted.returncode == 0, converted.stderr
    assert "layers 2/3" in converted.stdout
    for stage in ("token embedding", "decoder", "vision tower", "audio tower", "hashing"):
        assert stage in converted.stderr
    manifest = Manifest.load(output)
    assert manifest.quantization == "int8"
    assert manifest.prompt_prefix == "<|im_start|>user\n"
    verified = run("--verify", output)
    assert verified.returncode == 0, verified.stderr
    assert manifest.digest in verified.stdout


@pytest.fixture
def main(monkeypatch) -> Callable[..., int]:
    """The script's main in this process, which keeps its signal handlers."""
    spec = importlib.util.spec_from_file_location("optimize_models", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return lambda *arguments: script.main([str(argument) for argument in arguments])


def test_a_damaged_checkpoint_is_one_line(tmp_path, checkpoint, main, capsys):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-10])
    assert main("--slot", "medical", "--checkpoint", folder, "--output", tmp_path / "out", *SOURCE) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("error: checkpoint_invalid")
    assert shard.name in printed.err
    assert not (tmp_path / "out").exists()


def test_a_changed_file_fails_verification(tmp_path, converted, main, capsys):
    folder = shutil.copytree(converted("llama"), tmp_path / "out")
    with (folder / "decoder.onnx.data").open("r+b") as handle:
        handle.write(b"\xff")
    assert main("--verify", folder) == 1
    assert capsys.readouterr().err == f"error: model_file_damaged (folder={folder}, file=decoder.onnx.data)\n"


def test_unwritable_output_is_one_line(tmp_path, checkpoint, main, capsys):
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "out"
    assert main("--slot", "medical", "--checkpoint", checkpoint("llama"), "--output", output, *SOURCE) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: File exists")
    assert printed.err.count("\n") == 1


def test_missing_arguments_are_named(checkpoint, main, capsys):
    with pytest.raises(SystemExit, match="2"):
        main("--checkpoint", checkpoint("llama"), "--slot", "medical")
    assert "--output, --source, --source-revision" in capsys.readouterr().err


def add_tokens(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["<|one|>", "<|more|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


DAMAGE = {
    "missing shard": (missing_shard, "is missing"),
    "truncated shard": (truncated_shard, "cannot be read"),
    "other class": (config(architectures=["GPT2LMHeadModel"]), "GPT2LMHeadModel"),
    "more tokens than rows": (add_tokens, "tokens, the embedding has"),
    "more rows in the config than in the file": (config(vocab_size=9999), "config.json says"),
    "NaN": (edit_tensor(Q_PROJ, poke(math.nan)), f"{Q_PROJ} holds NaN"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(case, tmp_path, checkpoint, main, capsys):
    damage, reason = DAMAGE[case]
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint")
    damage(folder)
    parent = tmp_path / "models"
    assert main("--slot", "medical", "--checkpoint", folder, "--output", parent / "out", *SOURCE, *WHOLE) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if " %  " not in line]
    assert len(errors) == 1
    assert errors[0].startswith("error: checkpoint_")
    assert reason in errors[0]
    assert not parent.exists() or list(parent.iterdir()) == []


def test_a_full_disk_says_how_to_go_on(tmp_path, checkpoint, converted, main, capsys, monkeypatch):
    written = SectionFile.write

    def write(self, data) -> None:
        if self.position > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "decoder.onnx.data")
        written(self, data)

    monkeypatch.setattr(SectionFile, "write", write)
    output = tmp_path / "out"
    arguments = ["--slot", "medical", "--checkpoint", checkpoint("llama"), "--output", output, *SOURCE, *WHOLE]
    assert main(*arguments, "--quantization", "int8") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: No space left on device: decoder.onnx.data: finished layers are kept")
    assert error.endswith("run the same command again to go on")
    monkeypatch.setattr(SectionFile, "write", written)
    assert main(*arguments, "--quantization", "int8") == 0
    assert Manifest.load(output) == Manifest.load(converted("llama", "int8"))


def test_the_environment_gives_defaults(tmp_path, checkpoint, main, capsys, monkeypatch):
    output = tmp_path / "out"
    arguments = ["--slot", "medical", "--checkpoint", checkpoint("llama"), "--output", output, *SOURCE, *WHOLE]
    for value, expected in (("fp16", "fp16"), ("any", "int8")):
        monkeypatch.setenv("QUANTIZATION_TYPE", value)
        assert main(*arguments) == 0
        assert Manifest.load(output).quantization == expected
    monkeypatch.setenv("MAX_MEMORY", "3MiB")
    capsys.readouterr()
    assert main(*arguments) == 1
    assert "MiB, 3.0 MiB allowed: not even int4 cut at layer 1" in capsys.readouterr().err
    assert main(*arguments, "--max-memory", "1GiB") == 0
    for wrong in (["--max-memory", "much"], ["--max-memory", "0"], ["--quantization", "int5"]):
        with pytest.raises(SystemExit, match="2"):
            main(*arguments, *wrong)
    assert "'int5' is none of int8, int4, fp16, none" in capsys.readouterr().err


def test_termination_keeps_the_finished_layers_for_the_same_command(tmp_path):
    """SIGTERM, sent as soon as the first weights are written; the checkpoint is large enough for that to be early."""
    folder = write_llama(tmp_path / "wide", hidden_size=1024, intermediate_size=4096, num_hidden_layers=3)
    parent = tmp_path / "models"
    arguments = ["--slot", "medical", "--checkpoint", folder, "--output", parent / "out", *SOURCE]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    data = parent / ".out.partial" / "model" / "decoder.onnx.data"
    deadline = time.monotonic() + 60
    while not data.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted: finished layers are kept, run the same command again to go on\n")
    assert [path.name for path in parent.iterdir()] == [".out.partial"]
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert "checking earlier work" in again.stderr
    assert [path.name for path in parent.iterdir()] == ["out"]


def test_a_third_of_the_depth_unless_told_otherwise(tmp_path, checkpoint, main, capsys):
    """The tiny checkpoint has four layers."""
    arguments = ["--slot", "medical", "--checkpoint", checkpoint("llama"), *SOURCE]
    for given, layers in (((), 1), (WHOLE, 4), (("--cut-layer", "2"), 2), (("--cut-layer", "third"), 1)):
        output = tmp_path / "-".join(("out", *given))
        assert main(*arguments, "--output", output, *given) == 0
        assert Manifest.load(output).decoder.cut_layer == layers
    for wrong in ("half", "0", "5"):
        with pytest.raises(SystemExit) if wrong == "half" else nullcontext():
            assert main(*arguments, "--output", tmp_path / "no", "--cut-layer", wrong) == 1
    assert "conversion_cut_layer" in capsys.readouterr().err
