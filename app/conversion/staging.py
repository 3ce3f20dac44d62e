"""An output folder that appears whole or not at all, and the work that an interrupted run leaves for the next one.

Everything is written into `.NAME.partial/model`, a hidden sibling's folder, flushed to disk and renamed into place.
The sibling is locked while it is being written; beside the model lies the journal of what is finished (`journal`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.encoders.manifest import MANIFEST_NAME
from app.errors import ArtifactError

MODEL_NAME = "model"
JOURNAL_NAME = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Staging:
    """The hidden sibling of an output folder."""

    root: Path

    @property
    def model(self) -> Path:
        """What becomes the output."""
        return self.root / MODEL_NAME

    @property
    def journal(self) -> Path:
        return self.root / JOURNAL_NAME

    @classmethod
    def of(cls, output: Path) -> Staging:
        """Where the conversion into `output` works; nothing is made."""
        output = output.absolute()
        return cls(output.with_name(f".{output.name}.partial"))

    @property
    def bytes(self) -> int:
        """What lies there, of this conversion or of another that was interrupted."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def empty(self) -> None:
        """Forget what is there."""
        self.journal.unlink(missing_ok=True)
        shutil.rmtree(self.model, ignore_errors=True)
        self.model.mkdir()


@contextmanager
def staged_folder(output: Path) -> Iterator[Staging]:
    """Yield a staging whose `model` becomes `output` when the block ends well.

    It holds what an earlier run left, without a manifest. When the block ends with an ArtifactError, nothing of it
    stays; when it ends with anything else (interrupted, no space left), everything does, for the next run. An `output`
    that exists is replaced only at the end, and only if it is a model folder or empty. ArtifactError
    `conversion_output` where it is something else, `conversion_running` where another process is writing it.
    """
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    staging, old = Staging.of(output), output.with_name(f".{output.name}.old")
    _refuse_foreign(output)
    with _locked(staging.root):
        _recover(output, old)
        try:
            staging.model.mkdir(exist_ok=True)
            (staging.model / MANIFEST_NAME).unlink(missing_ok=True)
            yield staging
            _sync(staging.model)
            _swap(staging.model, output, old)
        except ArtifactError:
            shutil.rmtree(staging.root, ignore_errors=True)
            raise
        shutil.rmtree(staging.root, ignore_errors=True)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the folder itself; it is the right one only if its name still leads to it once it is held."""
    root.mkdir(exist_ok=True)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_same = os.path.samestat(os.fstat(handle), root.stat())
        except (BlockingIOError, FileNotFoundError) as error:
            raise ArtifactError("conversion_running", folder=str(root)) from error
        if not is_same:
            raise ArtifactError("conversion_running", folder=str(root))
        yield
    finally:
        os.close(handle)


def _recover(output: Path, old: Path) -> None:
    """Finish what a run that was killed between its two renames began."""
    if old.exists() and not output.exists():
        old.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(output: Path) -> None:
    if not output.exists() or (output / MANIFEST_NAME).is_file():
        return
    if not output.is_dir() or any(output.iterdir()):
        raise ArtifactError("conversion_output", reason="it exists and is not a model folder", folder=str(output))


def _sync(folder: Path) -> None:
    """Flush every file and the folder's own entries."""
    for path in (*folder.iterdir(), folder):
        _flush(path)


def _swap(model: Path, output: Path, old: Path) -> None:
    if output.exists():
        output.rename(old)
    model.rename(output)
    _flush(output.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
