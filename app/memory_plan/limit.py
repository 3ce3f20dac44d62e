"""How much memory the process may take, and who says so.

Control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max) and, for version 1,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.limit_in_bytes). The limit of every group above counts
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
    """Of the process's own group and of every group above it, for both versions."""
    for mount, folder, file in _groups(proc):
        above = [parent for parent in folder.parents if parent.is_relative_to(mount)]
        for group in (folder, *above):
            limit = group / file
            if limit.is_file() and (value := limit.read_text(encoding="ascii").strip()) != "max":
                yield int(value)


def _groups(proc: Path) -> Iterator[tuple[Path, Path, str]]:
    """(mount point, folder of the process's group, name of the limit's file).

    A container may see its own group as the root of the mount, under another name than the kernel tells it: then the
    mount point itself is the group.
    """
    own = _own_groups(proc)
    for line in (proc / "self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        root, mount = before.split()[3:5]
        is_v1 = kind == "cgroup" and "memory" in options.split(",")
        if is_v1 or kind == "cgroup2":
            group = own.get("memory" if is_v1 else "", "/")
            below = group.removeprefix(root.rstrip("/")).lstrip("/")
            folder = Path(mount) / below
            yield (
                Path(mount),
                folder if folder.is_dir() and ".." not in folder.parts else Path(mount),
                "memory.limit_in_bytes" if is_v1 else "memory.max",
            )


def _own_groups(proc: Path) -> dict[str, str]:
    """Controller -> path of the process's group; "" is version 2."""
    found: dict[str, str] = {}
    for line in (proc / "self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found
