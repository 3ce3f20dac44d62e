"""One writer at a time over all processes that share an SQLite file, and over the threads of each.

SQLite has a lock of its own, so why another: up to 3.51.2 (Debian 12 has 3.40.1) a commit that restarts the write-ahead
log while another connection checkpoints it can, very rarely, damage the database (https://sqlite.org/wal.html, "the
WAL-reset bug"). Here commits, and the checkpoints that follow them, never overlap. It also serialises migrations.

The lock is on a file beside the database: closing any descriptor of the database file itself would drop SQLite's own
locks. The operating system releases it when a process dies, however it dies. The file is never deleted.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.storage.failures import LOCKED, failed, file_failure

_POLL_S = 0.005


class WriteLock:
    """Held by one thread of one process. StorageError("storage_locked") after `timeout_s`."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._threads = threading.Lock()

    @contextmanager
    def held(self, timeout_s: float | None = None) -> Iterator[None]:
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        if not self._threads.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise failed(LOCKED, "write_lock")
        try:
            descriptor = self._lock_file(deadline)
            try:
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()

    def _lock_file(self, deadline: float) -> int:
        """A descriptor that holds the lock until it is closed."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise file_failure(error) from error
        try:
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise failed(LOCKED, "write_lock")
                time.sleep(_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise file_failure(error) from error
    return True
