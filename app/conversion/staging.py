"""An output folder that appears whole or not at all.

Everything is written into a hidden sibling, flushed to disk and renamed into place. The sibling is locked while it is
being written; one that nobody holds is what an interrupted run left behind and is emptied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.encoders.manifest import MANIFEST_NAME
from app.errors import ArtifactError


@contextmanager
def staged_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `output` when the block ends well and vanishes when it does not.

    An `output` that exists is replaced only then, and only if it is a model folder or empty. ArtifactError
    `conversion_output` where it is something else, `conversion_running` where another process is writing it.
    """
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    staging, old = (output.with_name(f".{output.name}.{suffix}") for suffix in ("partial", "old"))
    with _locked(staging):
        try:
            _recover(output, old)
            _refuse_foreign(output)
            _empty(staging)
            yield staging
            _sync(staging)
            _swap(staging, output, old)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Hold the folder itself; it is the right one only if its name still leads to it once it is held."""
    staging.mkdir(exist_ok=True)
    handle = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_same = os.path.samestat(os.fstat(handle), staging.stat())
        except (BlockingIOError, FileNotFoundError) as error:
            raise ArtifactError("conversion_running", folder=str(staging)) from error
        if not is_same:
            raise ArtifactError("conversion_running", folder=str(staging))
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


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync(folder: Path) -> None:
    """Flush every file and the folder's own entries."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(staging: Path, output: Path, old: Path) -> None:
    if output.exists():
        output.rename(old)
    staging.rename(output)
    handle = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    shutil.rmtree(old, ignore_errors=True)
