"""A checkpoint's fingerprint is the same while its files are, and another as soon as one of them is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.conversion import NoProgress
from app.conversion.checkpoint import Checkpoint
from app.conversion.plan import make_plan
from app.errors import ArtifactError
from tests.conversion.conftest import request_for


def opened(folder: Path, cut_layer: int | None = None) -> Checkpoint:
    """As a conversion opens it: `require` has seen the shards that the cut needs."""
    return make_plan(request_for(folder, folder.parent / "out", cut_layer=cut_layer), NoProgress().advance).checkpoint


@pytest.fixture
def folder(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint("llama"), tmp_path / "llama"))


def test_the_same_files_give_the_same_fingerprint(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert opened(folder).fingerprint() == opened(folder).fingerprint()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_deeper_cut_opens_more_shards(folder):
    assert opened(folder, 1).fingerprint() != opened(folder).fingerprint()


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def append(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(("name", "change"), [("config.json", append), ("model-00002-of-*", touch)])
def test_a_changed_file_gives_another(folder, name, change):
    before = opened(folder).fingerprint()
    (path,) = folder.glob(name)
    change(path)
    assert opened(folder).fingerprint() != before


def test_a_shard_that_has_gone_is_one_line(folder):
    checkpoint = opened(folder)
    (shard,) = folder.glob("model-00002-of-*")
    shard.unlink()
    with pytest.raises(ArtifactError, match="checkpoint_invalid") as caught:
        checkpoint.fingerprint()
    assert "\n" not in str(caught.value)
