"""How much memory the process may take, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.control_groups import memory_limit_files

LimitName = Literal["MAX_MEMORY", "container", "machine"]

MACHINE_RESERVE = 768 * 1024 * 1024
"""Left to the kernel and to everything else on the machine."""
_UNLIMITED = 1 << 60
"""Version 1 says "no limit" with the largest multiple of a page."""


@dataclass(frozen=True, slots=True)
class Limit:
    name: LimitName
    bytes: int


def memory_limits(max_memory: int, proc: Path = Path("/proc")) -> tuple[Limit, ...]:
    """The strictest first. `proc` is where /proc is mounted."""
    found = [Limit("MAX_MEMORY", max_memory), Limit("machine", _physical(proc) - MACHINE_RESERVE)]
    container = min(_container_limits(proc), default=_UNLIMITED)
    if container < _UNLIMITED:
        found.append(Limit("container", container))
    return tuple(sorted(found, key=lambda limit: limit.bytes))


def _physical(proc: Path) -> int:
    """Bytes of memory of the machine, as the kernel sees it (`MemTotal`)."""
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    raise ValueError("no MemTotal in meminfo")


def _container_limits(proc: Path) -> Iterator[int]:
    for limit in memory_limit_files(proc):
        if (value := limit.read_text(encoding="ascii").strip()) != "max":
            yield int(value)
