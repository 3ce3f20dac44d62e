"""The control groups that limit a process's memory.

https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max) and, for version 1,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.limit_in_bytes). The limit of every group above counts
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def memory_limit_files(proc: Path) -> Iterator[Path]:
    """The limit's file of the process's own group and of every group above it, for both versions."""
    for mount, folder, file in _groups(proc):
        above = [parent for parent in folder.parents if parent.is_relative_to(mount)]
        yield from (limit for group in (folder, *above) if (limit := group / file).is_file())


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
