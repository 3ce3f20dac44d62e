"""Embeddings on disk, keyed by what was encoded and by which exact model.

A key is an HMAC under a secret that is made once per folder (mode 0600), so that a file name says nothing about a
patient's text; an entry holds the vector and a checksum only. Several processes may share a folder: entries appear by
rename, are never changed, and a damaged or vanished one is a miss. A folder that cannot be written or is full means no
caching and a counter that says so, never a failed request.

    <folder>/secret
    <folder>/entries/ab/ab12...
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.domain import FloatArray
from app.encoders.cache_files import (
    HEADER_BYTES,
    decode_entry,
    encode_entry,
    scan_entries,
    shared_secret,
    whole_blocks,
    write_entry,
)

logger = logging.getLogger(__name__)

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
            self._secret = shared_secret(folder / "secret")
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
            vector = decode_entry(path.read_bytes())
        except OSError:
            self._count(misses=1)
            return None
        with contextlib.suppress(OSError):  # a folder that can only be read still answers
            if vector is None:
                path.unlink()
            else:
                os.utime(path)  # what was used last is evicted last
        self._count(hits=vector is not None, misses=vector is None, damaged=vector is None)
        return vector

    def put(self, key: str, vector: FloatArray) -> None:
        size = whole_blocks(HEADER_BYTES + vector.nbytes)
        if not key or size > self._max_bytes * (1 - HIGH_WATER):
            return
        try:
            self._make_room(size)
            write_entry(self._path(key), encode_entry(vector))
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
        entries = sorted(scan_entries(self._entries))
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
