"""Free memory from /proc and control groups made of files; low priority on this very machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.learning.machine import free_memory

MIB = 1024**2


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 4,000 MiB free and no container."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:  {4000 * 1024} kB\n")
    (folder / "self/mountinfo").write_text("22 1 0:20 / / rw - ext4 /dev/sda rw\n")
    (folder / "self/cgroup").write_text("0::/\n")
    return folder


def group(proc: Path, *, version: int, limit: str, usage: int, stat: str) -> None:
    """The process's own group, as its container sees it."""
    folder = proc.parent / "group"
    folder.mkdir()
    kind, options = ("cgroup2", "rw") if version == 2 else ("cgroup", "rw,memory")
    (proc / "self/mountinfo").write_text(f"30 23 0:26 / {folder} rw - {kind} {kind} {options}\n")
    (proc / "self/cgroup").write_text("0::/\n" if version == 2 else "4:memory:/\n")
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(stat)


def test_without_a_container_it_is_what_the_machine_has(proc: Path) -> None:
    assert free_memory(proc) == 4000 * MIB


def test_version_2_counts_what_the_group_may_still_take_and_pages_that_can_go(proc: Path) -> None:
    stat = f"anon {700 * MIB}\ninactive_file {100 * MIB}\nactive_file {50 * MIB}\n"
    group(proc, version=2, limit=str(1024 * MIB), usage=900 * MIB, stat=stat)
    assert free_memory(proc) == (1024 - 900 + 100) * MIB


def test_version_1_takes_the_sum_with_the_groups_below(proc: Path) -> None:
    stat = f"inactive_file {1 * MIB}\ntotal_inactive_file {100 * MIB}\n"
    group(proc, version=1, limit=str(1024 * MIB), usage=900 * MIB, stat=stat)
    assert free_memory(proc) == (1024 - 900 + 100) * MIB


def test_a_group_without_a_limit_is_none(proc: Path) -> None:
    group(proc, version=2, limit="max", usage=900 * MIB, stat="inactive_file 0\n")
    assert free_memory(proc) == 4000 * MIB


def test_a_group_over_its_limit_has_nothing_left(proc: Path) -> None:
    group(proc, version=2, limit=str(100 * MIB), usage=200 * MIB, stat="inactive_file 0\n")
    assert free_memory(proc) == 0


def test_the_machine_counts_where_it_has_less_than_the_group(proc: Path) -> None:
    group(proc, version=2, limit=str(10**13), usage=0, stat="inactive_file 0\n")
    assert free_memory(proc) == 4000 * MIB


def test_this_very_machine_has_some() -> None:
    assert free_memory() > 0


@pytest.mark.parametrize("refused", [False, True])
def test_a_process_of_low_priority_is_served_last_and_ended_first(refused: bool) -> None:
    """As sched_setscheduler may be forbidden in a container, too."""
    code = (
        "import os\n"
        f"if {refused}:\n"
        "    def forbidden(*_): raise PermissionError\n"
        "    os.sched_setscheduler = forbidden\n"
        "from app.learning.machine import lower_priority\n"
        "lower_priority()\n"
        "print(os.sched_getscheduler(0), os.nice(0), open('/proc/self/oom_score_adj').read())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    policy, nice, ended_first = (int(word) for word in ended.stdout.split())
    assert (policy, nice) == ((os.SCHED_OTHER, 19) if refused else (os.SCHED_IDLE, os.nice(0)))
    assert ended_first == 900
