"""DATABASE_URL, and the file that an SQLite URL names."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import ArtifactError
from app.storage.failures import file_failure

_POSTGRESQL = {"postgres", "postgresql", "postgresql+psycopg"}
_SQLITE = {"sqlite", "sqlite+pysqlite"}


def parse_url(text: str) -> Path | URL:
    """The SQLite file, absolute, or the PostgreSQL URL for psycopg.

    ArtifactError("database_url_invalid", reason=) for any other; the URL, which may hold a password, is not shown.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise _invalid("not a URL like sqlite:///folder/file.db or postgresql://user:password@host/name") from None
    if url.drivername in _POSTGRESQL:
        if not url.database:
            raise _invalid("names no database: postgresql://user:password@host/name")
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in _SQLITE:
        raise _invalid("only sqlite and postgresql are served")
    if url.query or url.host:
        raise _invalid("an SQLite URL takes a path and nothing else: sqlite:///folder/file.db")
    if not url.database or url.database == ":memory:":
        raise _invalid("a database in memory keeps nothing: name a file, like sqlite:///folder/file.db")
    return Path(url.database).absolute()


def create_private_file(path: Path) -> None:
    """An empty file (0600) where there is none, in folders of its own (0700); what exists keeps its mode.

    The entry itself is on disk when this returns. StorageError.
    """
    try:
        _make_private_folders(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        raise file_failure(error) from error


def _make_private_folders(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(parent.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _invalid(reason: str) -> ArtifactError:
    return ArtifactError("database_url_invalid", reason=reason)
