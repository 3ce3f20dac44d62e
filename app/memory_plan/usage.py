"""What the process takes now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
