"""Memory of a process over time, and what it read from disk."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.evaluation.cgroup import MemoryGroup


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Bytes at `seconds` since the watch began; `anonymous` cannot be read again from a file, `file` can.

    `group` is what counts against the limit, page cache included; None without one.
    """

    seconds: float
    anonymous: int
    file: int
    group: int | None


class MemoryWatch:
    """Samples a process in the background while the block runs; stops by itself when the process ends."""

    def __init__(self, pid: int, group: MemoryGroup | None, every_s: float = 0.5) -> None:
        self.samples: list[MemorySample] = []
        self._pid, self._group, self._every_s = pid, group, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_anonymous(self) -> int:
        """Of the group where there is one: a process's children count too."""
        return max((sample.anonymous for sample in self.samples), default=0)

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.wait(self._every_s):
            status = process_status(self._pid)
            if "RssAnon" not in status:  # it has ended
                return
            anonymous = self._group.anonymous() if self._group else status["RssAnon"]
            usage = self._group.usage() if self._group else None
            self.samples.append(MemorySample(time.monotonic() - started, anonymous, status["RssFile"], usage))


def process_status(pid: int) -> dict[str, int]:
    """The sizes in /proc/PID/status, in bytes; empty for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {field[0].removesuffix(":"): int(field[1]) * 1024 for field in fields}


def disk_reads(pid: int) -> int:
    """Bytes that a process has read from disk since it began, pages of mapped files included."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
