"""Writing so that a kill leaves the old or the new, and telling what was damaged since."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.errors import StorageError

DIGEST = "digest"
_READABLE = 0o644
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOCK_WAIT_S, _LOCK_POLL_S = 30.0, 0.01


class DamagedDocumentError(ValueError):
    """A sealed document that is not as it was written."""


@contextmanager
def as_storage_failures() -> Iterator[None]:
    """OSError of the block -> StorageError: storage_full or storage_unavailable."""
    try:
        yield
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "OSError")
        if error.errno in _FULL:
            raise StorageError("storage_full", reason=reason) from error
        raise StorageError("storage_unavailable", reason=reason) from error


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """A JSON document with a SHA-256 of itself; durable when it returns, and there whole or not at all."""
    written = json.loads(json.dumps(document))  # as a reader will see it: keys are strings
    sealed = {**written, DIGEST: _digest(written)}
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(sealed, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(_READABLE)
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_sealed(path: Path) -> dict[str, Any]:
    """FileNotFoundError where there is none, DamagedDocumentError where it does not carry its own SHA-256."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedDocumentError(path.name) from error
    if not isinstance(document, dict) or document.pop(DIGEST, None) != _digest(document):
        raise DamagedDocumentError(path.name)
    return document


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sync_tree(folder: Path) -> None:
    """Every file and folder below, then the folder itself, onto the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync_folder(path) if path.is_dir() else _sync(path, os.O_RDONLY)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, *, folder: bool = False) -> Iterator[None]:
    """Hold an exclusive flock on a file, made where there is none, or on a folder; waits for other holders.

    The kernel gives it back when its process ends, however that ends. StorageError("storage_locked") after 30 s: a
    process that was stopped in the middle must not keep a service waiting for ever.
    """
    handle = os.open(path, os.O_RDONLY | (os.O_DIRECTORY if folder else os.O_CREAT), _READABLE)
    try:
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not _try_lock(handle):
            if time.monotonic() >= deadline:
                raise StorageError("storage_locked", reason="versions_lock")
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def is_locked(folder: Path) -> bool:
    """Whether somebody holds the folder now. FileNotFoundError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
