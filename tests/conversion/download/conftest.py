"""A hub on this machine that has both repositories, and the command against it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from safetensors.torch import load_file, save_file

from app.conversion import download
from app.conversion.download_cli import main
from tests.checkpoints import write_llama, write_omni
from tests.conversion.download.fake_hub import MEDICAL, OMNI, SECRET, FakeHub


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout in small: layers in shards of their own, head, talker and voice in others, spk_dict.pt."""
    folder = write_omni(tmp_path_factory.mktemp("hub") / "omni", layers=3)

    def part(name: str) -> str:
        if name.startswith("thinker.model.layers."):
            return f"layer{name.split('.')[3]}"
        return name.split(".")[1 if name.startswith("thinker.") else 0]

    _reshard(folder, part)
    (folder / "spk_dict.pt").write_bytes(b"voices")
    (folder / "README.md").write_text("about")
    return folder


@pytest.fixture(scope="session")
def medical_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_llama(tmp_path_factory.mktemp("hub") / "medical")
    _reshard(folder, lambda name: f"layer{name.split('.')[2]}" if "layers." in name else name.split(".")[-2])
    return folder


def _reshard(folder: Path, part_of: Callable[[str], str]) -> None:
    tensors = {}
    for path in folder.glob("*.safetensors"):
        tensors |= load_file(path)
        path.unlink()
    weight_map = {name: f"model-{part_of(name)}.safetensors" for name in tensors}
    for shard in sorted(set(weight_map.values())):
        save_file({name: tensors[name].clone() for name in tensors if weight_map[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.fixture
def hub(omni_folder: Path, medical_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Both repositories; the omni one's commit is the project's pin."""
    for name in [name for name in os.environ if name.startswith(("HF_", "LC_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {"LANG": "C.UTF-8", "HF_TOKEN": SECRET, "HF_TOKEN_PATH": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    huggingface_hub.utils.disable_progress_bars()
    with FakeHub() as served:
        commit = served.publish_folder(OMNI, omni_folder)
        served.publish_folder(MEDICAL, medical_folder)
        pins = tmp_path / "pins.json"
        pins.write_text(json.dumps({OMNI: commit}))
        monkeypatch.setattr(download, "PINS", pins)
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """The command in this process: code, out, err."""

    def command(*arguments: str) -> SimpleNamespace:
        code = main(["--output", str(tmp_path / "downloads"), *arguments])
        out, err = capsys.readouterr()
        assert SECRET not in out + err
        return SimpleNamespace(code=code, out=out, err=err)

    return command


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def refused(run: Callable[..., SimpleNamespace]) -> Callable[..., str]:
    """The command, which must end with one line on standard error: that line."""

    def command(*arguments: str) -> str:
        result = run(*arguments)
        assert result.code == 1
        assert result.err.count("\n") == 1
        return result.err.rstrip("\n")

    return command
