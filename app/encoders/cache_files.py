"""The files of the embedding cache: entries with a checksum, and the secret that names are made with."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np

from app.domain import FloatArray

MAGIC = b"MMEMB1\n\0"
HEADER_BYTES = len(MAGIC) + 32
BLOCK_BYTES = 4096
"""What the smallest file takes on disk; entries are counted in whole blocks."""


def encode_entry(vector: FloatArray) -> bytes:
    """Magic, SHA-256 of the payload, payload (float32, little endian)."""
    payload = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return MAGIC + hashlib.sha256(payload).digest() + payload


def decode_entry(data: bytes) -> FloatArray | None:
    """None for anything that `encode_entry` did not write."""
    payload = data[HEADER_BYTES:]
    intact = data[: len(MAGIC)] == MAGIC and hashlib.sha256(payload).digest() == data[len(MAGIC) : HEADER_BYTES]
    return np.frombuffer(payload, "<f4").astype(np.float32) if intact and payload and len(payload) % 4 == 0 else None


def write_entry(path: Path, data: bytes) -> None:
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


def scan_entries(entries: Path) -> list[tuple[float, int, str]]:
    """(last use, bytes on disk, path) of every entry, left-over temporary files included."""
    found = []
    for folder in entries.iterdir():
        with os.scandir(folder) as listing:
            for entry in listing:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another process evicted it
                    continue
                found.append((status.st_mtime, whole_blocks(status.st_size), entry.path))
    return found


def whole_blocks(size: int) -> int:
    """Bytes that a file of `size` bytes takes on disk."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def shared_secret(path: Path) -> bytes:
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
