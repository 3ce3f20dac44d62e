"""SQLAlchemy engines whose commits are on disk, and whose errors never show a row's values."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from app.storage.failures import UNAVAILABLE, driver_failure, failed

BEGIN_MODE = "sqlite_begin"
"""Execution option: DEFERRED for readers. Writers take SQLite's write lock at BEGIN, so none fails half way."""
_POSTGRESQL_DEFAULTS = {
    "application_name": "medmodal-fusion",
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds until a peer that acknowledges nothing is taken for dead
}
"""libpq parameters, where the URL does not set them."""
_STATEMENT_TIMEOUT_MS = 30_000
_FILE_IDENTITY = "file_identity"


def sqlite_engine(path: Path, busy_timeout_s: float) -> Engine:
    """An existing file in WAL mode, synchronous=FULL: a commit that returned survives a crash and a power cut."""
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=partial(_connect_sqlite, path, busy_timeout_s),
        poolclass=QueuePool,
        pool_timeout=busy_timeout_s,
        hide_parameters=True,
        json_serializer=to_json,
    )
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "connect", partial(_remember_file, path))
    event.listen(engine, "checkout", partial(_refuse_replaced_file, path))
    return engine


def postgresql_engine(url: URL, busy_timeout_s: float) -> Engine:
    """`busy_timeout_s` bounds the wait for a lock and for a connection of the pool."""
    engine = create_engine(
        url,
        connect_args={name: value for name, value in _POSTGRESQL_DEFAULTS.items() if name not in url.query},
        pool_pre_ping=True,
        pool_timeout=busy_timeout_s,
        hide_parameters=True,
        json_serializer=to_json,
    )
    event.listen(engine, "connect", partial(_prepare_postgresql, round(busy_timeout_s * 1000)))
    return engine


def enable_wal(path: Path, busy_timeout_s: float) -> None:
    """Lasting, and only while nobody else is switching: hold the write lock. StorageError."""
    try:
        with closing(_connect_sqlite(path, busy_timeout_s)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.Error as error:
        raise driver_failure(error) from error
    if mode != "wal":  # a file system without shared memory, most network ones among them
        raise failed(UNAVAILABLE, "no_write_ahead_log")


def empty_wal(connection: PoolProxiedConnection) -> bool:
    """Not within a transaction, and only while nobody else writes: hold the write lock. False where a reader is in the
    way, who is not waited for. StorageError."""
    cursor = connection.cursor()
    try:
        (waiting_ms,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute("PRAGMA busy_timeout=0")  # writers wait for the write lock meanwhile
        try:
            (is_busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            cursor.execute(f"PRAGMA busy_timeout={int(waiting_ms)}")
    except sqlite3.Error as error:
        raise driver_failure(error) from error
    finally:
        cursor.close()
    return not is_busy


def to_json(value: object) -> str:
    """ValueError for NaN and infinities, which are no JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _connect_sqlite(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",  # rw, not rwc: a file that went away is an error, not a new empty database
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,  # the module's own BEGINs come too late: `_begin_sqlite`
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # deleted rows are overwritten, not only forgotten
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(BEGIN_MODE, "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _remember_file(path: Path, _connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    entry.info[_FILE_IDENTITY] = _identity(path)


def _refuse_replaced_file(path: Path, _connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """A file that was deleted or replaced would take rows and lose them: open the one that is there now."""
    if entry.info[_FILE_IDENTITY] != _identity(path):
        raise InvalidatePoolError


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - called at each checkout: a third of the time of Path.stat
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare_postgresql(lock_timeout_ms: int, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    try:
        for name, value in (("lock_timeout", lock_timeout_ms), ("statement_timeout", _STATEMENT_TIMEOUT_MS)):
            cursor.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    finally:
        cursor.close()
    connection.commit()
