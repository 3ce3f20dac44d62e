"""Embeddings on disk, keyed by what was encoded and by which exact model.

A key is an HMAC under a secret that is made once per folder (mode 0600), so that a file name says nothing about a
patient's text; an entry holds the vector and a checksum only. Several processes may share a folder: entries appear by
rename, are never changed, and a damaged or vanished one is a miss. A folder that cannot be written or is full means no
caching and a counter that says so, never a failed request.

    <folder>/secret
    <folder>/entries/ab/ab12...   magic, SHA-256 of the payload, payload (float32, little endian)
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray

logger = logging.getLogger(__name__)

MAGIC = b"MMEMB1\n\0"
BLOCK_BYTES = 4096
"""What the smallest file takes on disk; entries are counted in whole blocks."""
HIGH_WATER, LOW_WATER, RESCAN = 0.9, 0.8, 0.05
"""Shares of `max_bytes`: evict above, evict down to, and look at the folder again after writing this much."""
Content = Sequence[bytes | npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CacheStats:
    hits: int = 0
    misses: int = 0
    damaged: int = 0
    write_failures: int = 0
    evicted: int = 0


class EmbeddingCache(Protocol):
    """Where encoders keep the vector of a segment."""

    def key(self, content: Content) -> str:
        """Name of this exact content; the parts are kept apart."""
        ...

    def get(self, key: str) -> FloatArray | None: ...

    def put(self, key: str, vector: FloatArray) -> None: ...


class NoCache:
    """CACHE_ENABLED=false."""

    def key(self, content: Content) -> str:
        return ""

    def get(self, key: str) -> FloatArray | None:
        return None

    def put(self, key: str, vector: FloatArray) -> None:
        """Nothing is kept."""


class DiskCache:
    """At most `max_bytes` in `folder`, least recently used out first. Thread-safe, process-safe.

    The bound holds for two processes that write at once; each further one can add `RESCAN` of it for a moment.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Makes the folder and its secret. Where it cannot, the cache works as none and counts a write failure."""
        self._entries = folder / "entries"
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._stats = CacheStats()
        self._written = max_bytes  # bytes written since the folder was last looked at: look before the first entry
        self._secret: bytes | None = None
        try:
            self._entries.mkdir(parents=True, exist_ok=True)
            self._secret = _shared_secret(folder / "secret")
        except OSError as error:
            self._write_failed(error)

    @property
    def stats(self) -> CacheStats:
        return self._stats

    def key(self, content: Content) -> str:
        if self._secret is None:
            return ""
        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in content:
            data = part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str) -> FloatArray | None:
        if not key:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            self._count(misses=1)
            return None
        vector = _decode(data)
        if vector is None:
            path.unlink(missing_ok=True)
            self._count(misses=1, damaged=1)
            return None
        self._count(hits=1)
        return vector

    def put(self, key: str, vector: FloatArray) -> None:
        size = _blocks(len(MAGIC) + 32 + vector.nbytes)
        if not key or size > self._max_bytes * (1 - HIGH_WATER):
            return
        try:
            self._make_room(size)
            _write(self._path(key), _encode(vector))
        except OSError as error:
            self._write_failed(error)

    # ----------------------------------------------------------------------- room
    def _make_room(self, size: int) -> None:
        with self._lock:
            self._written += size
            if self._written <= self._max_bytes * RESCAN:
                return
            self._written = size
            self._evict(size)

    def _evict(self, size: int) -> None:
        """Remove the least recently used entries once the folder is above the high-water mark."""
        entries = sorted(_scan(self._entries))
        total = sum(blocks for _, blocks, _ in entries) + size
        if total <= self._max_bytes * HIGH_WATER:
            return
        removed = 0
        for _, blocks, path in entries:
            if total <= self._max_bytes * LOW_WATER:
                break
            Path(path).unlink(missing_ok=True)
            total -= blocks
            removed += 1
        self._stats = replace(self._stats, evicted=self._stats.evicted + removed)

    # ----------------------------------------------------------------------- small parts
    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / key

    def _count(self, *, hits: int = 0, misses: int = 0, damaged: int = 0, write_failures: int = 0) -> None:
        with self._lock:
            old = self._stats
            self._stats = CacheStats(
                old.hits + hits,
                old.misses + misses,
                old.damaged + damaged,
                old.write_failures + write_failures,
                old.evicted,
            )

    def _write_failed(self, error: OSError) -> None:
        self._count(write_failures=1)
        if self._stats.write_failures == 1:
            logger.warning("embedding_cache_not_writable errno=%s", error.errno)


# --------------------------------------------------------------------------- files
def _encode(vector: FloatArray) -> bytes:
    payload = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return MAGIC + hashlib.sha256(payload).digest() + payload


def _decode(data: bytes) -> FloatArray | None:
    """None for anything that `_encode` did not write."""
    header = len(MAGIC) + 32
    payload = data[header:]
    intact = data[: len(MAGIC)] == MAGIC and hashlib.sha256(payload).digest() == data[len(MAGIC) : header]
    return np.frombuffer(payload, "<f4").astype(np.float32) if intact and payload and len(payload) % 4 == 0 else None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all. No fsync: a torn entry fails its checksum and costs one encoding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _scan(entries: Path) -> list[tuple[float, int, str]]:
    """(last use, bytes on disk, path) of every entry, left-over temporary files included."""
    found = []
    for folder in entries.iterdir():
        with os.scandir(folder) as listing:
            for entry in listing:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another process evicted it
                    continue
                found.append((status.st_mtime, _blocks(status.st_size), entry.path))
    return found


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _shared_secret(path: Path) -> bytes:
    """The folder's secret; the first process to link its own proposal decides it."""
    proposal = path.with_name(f".secret-{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(proposal, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(32))
            os.link(proposal, path)
        except FileExistsError:
            pass
        finally:
            proposal.unlink(missing_ok=True)
    secret = path.read_bytes()
    if len(secret) != 32:
        raise OSError(f"not a cache secret: {path}")
    return secret
