"""What training leaves to the service on the same machine: processor, disk and memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from app.control_groups import memory_limit_files

_USAGE_FILES = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Limit of a control group -> what it uses, for version 2 and 1."""
_OUT_OF_MEMORY_FIRST = "900"
"""Of 1000: when the kernel has to end somebody, it ends training before the service."""
_LOWEST_NICENESS = 19


def free_memory(proc: Path = Path("/proc")) -> int:
    """Bytes that can still be taken before the machine or a container's limit is reached. `proc`: where it is mounted.

    File pages that nobody has used lately count as free: the kernel drops them first.
    """
    return max(0, min([_available(proc), *_headrooms(proc)]))


def lower_priority(proc: Path = Path("/proc")) -> None:
    """This process and what it starts run only when nothing else wants the processor; disk and memory come last, too.

    SCHED_IDLE, sched(7), brings the idle class of disk access with it, ioprio_set(2). Where it is refused: nice 19.
    """
    with contextlib.suppress(OSError):
        (proc / "self/oom_score_adj").write_text(_OUT_OF_MEMORY_FIRST, encoding="ascii")
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        os.nice(_LOWEST_NICENESS)


def _available(proc: Path) -> int:
    """The machine's, as the kernel estimates it (`MemAvailable`)."""
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise ValueError("no MemAvailable in meminfo")


def _headrooms(proc: Path) -> Iterator[int]:
    """Of every control group with a limit: what is left of it."""
    for limit_file in memory_limit_files(proc):
        limit = limit_file.read_text(encoding="ascii").strip()
        usage = limit_file.with_name(_USAGE_FILES[limit_file.name])
        if limit != "max" and usage.is_file():
            yield int(limit) - int(usage.read_text(encoding="ascii")) + _droppable(limit_file.with_name("memory.stat"))


def _droppable(stat: Path) -> int:
    """Bytes of file pages on the inactive list; version 1 has the sum with the groups below under another name."""
    if not stat.is_file():
        return 0
    values = dict(line.split(" ", 1) for line in stat.read_text(encoding="ascii").splitlines())
    return int(values.get("total_inactive_file", values.get("inactive_file", "0")))
