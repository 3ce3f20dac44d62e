"""A memory limit for one process, page cache counted: a group of its own in cgroup v2 or v1. Needs write access there.

A page of a file counts for the group that read it first. What lies in the page cache already would count for nobody,
so `forget` files before a process that is to be charged for them starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class CgroupUnavailableError(Exception):
    """Says in one line why no limit can be set here."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """One group; bytes throughout."""

    folder: Path
    is_v2: bool

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the group, under the process id that it is started with."""
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]

    def usage(self) -> int:
        return self._number("memory.current" if self.is_v2 else "memory.usage_in_bytes")

    def peak(self) -> int:
        return self._number("memory.peak" if self.is_v2 else "memory.max_usage_in_bytes")

    def anonymous(self) -> int:
        """What cannot be read again from a file: heap and stacks."""
        return self._entries("memory.stat")["anon" if self.is_v2 else "total_rss"]

    def limit_hits(self) -> int:
        """How often the limit was reached; the kernel then drops page cache, which is no failure by itself."""
        if self.is_v2:
            return self._entries("memory.events")["max"]
        counters = ("memory.failcnt", "memory.memsw.failcnt")  # with swap, the second is reached first
        return sum(self._number(name) for name in counters if (self.folder / name).is_file())

    def oom_kills(self) -> int:
        return self._entries("memory.events" if self.is_v2 else "memory.oom_control")["oom_kill"]

    def _number(self, name: str) -> int:
        return int((self.folder / name).read_text(encoding="ascii"))

    def _entries(self, name: str) -> dict[str, int]:
        lines = (self.folder / name).read_text(encoding="ascii").splitlines()
        return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}


@contextmanager
def memory_group(limit_bytes: int, root: Path = ROOT) -> Iterator[MemoryGroup]:
    """A group with this limit, removed at the end. CgroupUnavailableError where none can be made."""
    is_v2 = (root / "cgroup.controllers").is_file()
    folder = (root if is_v2 else root / "memory") / f"medmodal.{os.getpid()}.{limit_bytes}"
    if not folder.parent.is_dir():
        raise CgroupUnavailableError(f"{folder.parent} is not mounted")
    try:
        if is_v2:
            (root / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
        folder.mkdir()
        _set_limit(folder, limit_bytes, is_v2)
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        raise CgroupUnavailableError(f"{folder}: {error.strerror}") from error
    try:
        yield MemoryGroup(folder, is_v2)
    finally:
        with suppress(OSError):  # a process is left in it: the kernel keeps the group until that ends
            folder.rmdir()


@contextmanager
def memory_group_if_possible(
    limit_bytes: int, say: Callable[[str], None], root: Path = ROOT
) -> Iterator[MemoryGroup | None]:
    """The same; None, and a word to `say`, where no limit can be set."""
    with ExitStack() as stack:
        group = None
        try:
            group = stack.enter_context(memory_group(limit_bytes, root))
        except CgroupUnavailableError as error:
            say(f"running WITHOUT a memory limit of {limit_bytes / 2**30:.1f} GiB: {error}")
        yield group


def _set_limit(folder: Path, limit_bytes: int, is_v2: bool) -> None:
    (folder / ("memory.max" if is_v2 else "memory.limit_in_bytes")).write_text(str(limit_bytes), encoding="ascii")
    swap = folder / ("memory.swap.max" if is_v2 else "memory.memsw.limit_in_bytes")
    if swap.is_file():
        swap.write_text("0" if is_v2 else str(limit_bytes), encoding="ascii")


def forget(folders: Iterable[Path]) -> None:
    """Drop every file below these folders from the page cache."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
