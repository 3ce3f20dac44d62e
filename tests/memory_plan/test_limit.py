"""Who limits the process: /proc and control groups as files in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.memory_plan.limit import MACHINE_RESERVE, memory_limits

GIB = 1024**3


class Machine:
    """A /proc with 8 GiB, and control groups below `groups`."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.groups = folder / "proc", folder / "groups"
        (self.proc / "self").mkdir(parents=True)
        self.groups.mkdir()
        (self.proc / "meminfo").write_text(f"MemTotal:  {8 * GIB // 1024} kB\nMemFree:  1 kB\n")
        self.mounts: list[str] = ["22 1 0:20 / / rw - ext4 /dev/sda rw"]
        self.own: list[str] = []
        self.save()

    def version_2(self, path: str, root: str = "/") -> None:
        self.mounts.append(f"30 23 0:26 {root} {self.groups} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate")
        self.own.append(f"0::{path}")
        self.save()

    def version_1(self, path: str, root: str = "/") -> None:
        self.mounts.append(f"35 31 0:32 {root} {self.groups} rw,relatime - cgroup cgroup rw,memory")
        self.mounts.append(f"36 31 0:33 / {self.groups} rw,relatime - cgroup cgroup rw,cpu,cpuacct")
        self.own += [f"4:memory:{path}", "2:cpu,cpuacct:/elsewhere", "0::/"]
        self.save()

    def save(self) -> None:
        for name, lines in (("mountinfo", self.mounts), ("cgroup", self.own)):
            (self.proc / "self" / name).write_text("".join(f"{line}\n" for line in lines))

    def limit(self, group: str, file: str, value: str) -> None:
        folder = self.groups / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"{value}\n")

    def limits(self, max_memory: int = 100 * GIB) -> list[tuple[str, int]]:
        return [(limit.name, limit.bytes) for limit in memory_limits(max_memory, self.proc)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_container_the_machine_keeps_a_reserve(machine: Machine) -> None:
    assert machine.limits() == [("machine", 8 * GIB - MACHINE_RESERVE), ("MAX_MEMORY", 100 * GIB)]
    assert machine.limits(6 * GIB)[0] == ("MAX_MEMORY", 6 * GIB)


def test_version_2_counts_every_group_above(machine: Machine) -> None:
    machine.version_2("/medmodal.slice/service")
    machine.limit("medmodal.slice/service", "memory.max", "max")
    machine.limit("medmodal.slice", "memory.max", str(5 * GIB))
    assert machine.limits(6 * GIB)[0] == ("container", 5 * GIB)
    machine.limit("medmodal.slice/service", "memory.max", str(4 * GIB))
    assert machine.limits(6 * GIB)[0] == ("container", 4 * GIB)
    machine.limit(".", "memory.max", str(3 * GIB))
    assert machine.limits(6 * GIB)[0] == ("container", 3 * GIB)


def test_version_2_without_limits_is_no_container(machine: Machine) -> None:
    machine.version_2("/a/b")
    machine.limit("a/b", "memory.max", "max")
    assert [name for name, _ in machine.limits()] == ["machine", "MAX_MEMORY"]


def test_version_1(machine: Machine) -> None:
    machine.version_1("/docker/0123")
    machine.limit(".", "memory.limit_in_bytes", "9223372036854771712")
    machine.limit("docker/0123", "memory.limit_in_bytes", str(2 * GIB))
    assert machine.limits()[0] == ("container", 2 * GIB)


def test_version_1_without_a_limit_is_no_container(machine: Machine) -> None:
    machine.version_1("/docker/0123")
    machine.limit("docker/0123", "memory.limit_in_bytes", "9223372036854771712")
    assert [name for name, _ in machine.limits()] == ["machine", "MAX_MEMORY"]


@pytest.mark.parametrize("root", ["/", "/docker/0123"])
def test_a_container_that_sees_its_own_group_as_the_root(machine: Machine, root: str) -> None:
    """The kernel tells the path outside, which does not exist inside; or the mount says what it is the root of."""
    machine.version_1("/docker/0123", root=root)
    machine.limit(".", "memory.limit_in_bytes", str(GIB))
    assert machine.limits()[0] == ("container", GIB)


def test_a_group_outside_the_namespace_is_not_looked_for_above_the_mount(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1\n")
    machine.version_2("/../..")
    machine.limit(".", "memory.max", str(GIB))
    assert machine.limits()[0] == ("container", GIB)


def test_this_very_process_has_a_limit() -> None:
    names = {limit.name for limit in memory_limits(GIB)}
    assert {"MAX_MEMORY", "machine"} <= names
