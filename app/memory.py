"""What the process takes of the memory now, and how what decoding a large picture took goes back."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_LARGE_BYTES = 4 * 1024 * 1024


def return_large_blocks() -> bool:
    """From now on blocks of 4 MiB and more go back to the system as soon as they are freed. False without glibc.

    By default glibc learns from the first large blocks that are freed to keep the next ones: after a few pictures of
    50 megapixels, which Pillow holds in blocks of 16 MiB, the process stayed at 2.0 GB; with this at 0.7 GB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_TRIM_THRESHOLD, 4 * _LARGE_BYTES))


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Resident bytes."""

    anonymous: int
    """On the heap: only swapping or ending the process frees it."""
    file_backed: int
    """Mapped from files: the kernel may drop it and read it again, which is slow."""


def memory_usage(status: Path = Path("/proc/self/status")) -> MemoryUsage | None:
    """From proc(5)'s RssAnon and RssFile; None from a kernel that does not have them."""
    lines = status.read_text(encoding="ascii").splitlines()
    found = dict(line.split(":", 1) for line in lines if line.startswith(("RssAnon:", "RssFile:")))
    if len(found) < 2:
        return None
    return MemoryUsage(*(int(found[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile")))
