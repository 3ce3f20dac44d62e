"""The measuring around the service: memory groups, watching a process, percentiles, the report and the plots."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.evaluation.cgroup import CgroupUnavailableError, forget, memory_group, memory_group_if_possible
from app.evaluation.full_size_report import to_markdown
from app.evaluation.full_size_run import by_kind
from app.evaluation.full_size_watch import MemoryWatch, disk_reads, process_status
from app.evaluation.plots import plot_lengths, plot_memory


# --------------------------------------------------------------------------- cgroup
def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_2(tmp_path: Path):
    (tmp_path / "cgroup.controllers").write_text("memory")
    with memory_group(123_456, tmp_path) as group:
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
        assert (group.folder / "memory.max").read_text() == "123456"
        fill(group.folder, memory__current="7\n", memory__peak="9\n", memory__stat="anon 5\nfile 2\n")
        fill(group.folder, memory__events="low 0\nmax 3\noom_kill 1\n")
        found = (group.usage(), group.peak(), group.anonymous(), group.limit_hits(), group.oom_kills())
        assert found == (7, 9, 5, 3, 1)


def test_version_1(tmp_path: Path):
    (tmp_path / "memory").mkdir()
    with memory_group(123_456, tmp_path) as group:
        assert (group.folder / "memory.limit_in_bytes").read_text() == "123456"
        fill(
            group.folder,
            memory__usage_in_bytes="7\n",
            memory__max_usage_in_bytes="9\n",
            memory__failcnt="1\n",
            memory__memsw__failcnt="2\n",
        )
        fill(group.folder, memory__stat="rss 1\ntotal_rss 5\n", memory__oom_control="under_oom 0\noom_kill 1\n")
        found = (group.usage(), group.peak(), group.anonymous(), group.limit_hits(), group.oom_kills())
        assert found == (7, 9, 5, 3, 1)


def test_a_command_joins_its_group_before_it_runs(tmp_path: Path):
    (tmp_path / "memory").mkdir()
    with memory_group(1, tmp_path) as group:
        command = group.command([sys.executable, "-c", "import os; print(os.getpid())"])
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.communicate()[0].strip() == str(process.pid)
        assert (group.folder / "cgroup.procs").read_text().strip() == str(process.pid)


def test_no_limit_is_said_not_hidden(tmp_path: Path):
    with pytest.raises(CgroupUnavailableError, match="not mounted"), memory_group(1, tmp_path):
        pass
    said: list[str] = []
    with memory_group_if_possible(1 << 30, said.append, tmp_path) as group:
        assert group is None
    assert "WITHOUT a memory limit of 1.0 GiB" in said[0]


def test_forgotten_files_are_read_from_disk_again(tmp_path: Path):
    (tmp_path / "data").write_bytes(os.urandom(4_000_000))
    (tmp_path / "data").read_bytes()
    forget([tmp_path])
    before = disk_reads(os.getpid())
    (tmp_path / "data").read_bytes()
    again = disk_reads(os.getpid()) - before
    if os.statvfs(tmp_path).f_bsize and again == 0:
        pytest.skip("this file system keeps everything in memory")
    assert again >= 4_000_000


# --------------------------------------------------------------------------- watch
def test_the_watch_sees_memory_come_and_stops_with_the_process():
    code = "import time; a = bytearray(50_000_000); time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        with MemoryWatch(process.pid, None, every_s=0.02) as watch:
            process.wait()
            time.sleep(0.1)
            count = len(watch.samples)
        assert len(watch.samples) == count
    assert watch.peak_anonymous > 50_000_000
    assert all(sample.group is None for sample in watch.samples)
    assert process_status(process.pid) == {}


def test_a_process_reads_its_own_sizes():
    assert process_status(os.getpid())["RssAnon"] > 1_000_000


# --------------------------------------------------------------------------- report
def report(**changes: Any) -> dict[str, Any]:
    rows = [{"kind": "text", "ms": 100.0 * n, "disk_bytes": 4096 * (n == 1)} for n in range(1, 11)]
    conversion = {
        "seconds": 90.0,
        "limit_bytes": None,
        "peak_anonymous_bytes": 700_000_000,
        "peak_charged_bytes": None,
        "oom_kills": None,
        "bytes": 3_000_000_000,
        "files": {},
    }
    result = {
        "machine": "x86_64",
        "threads": 2,
        "date": "2026-01-01",
        "quantization": "int8",
        "layers": {"omni": 9, "medical": 11},
        "limit_bytes": 8_000_000_000,
        "conversion": {"omni": conversion, "medical": {**conversion, "limit_bytes": 2 << 30}},
        "kinds": by_kind(rows),
        "lengths": [{"tokens": 16, "ms": 200.0}, {"tokens": 512, "ms": 3000.0}],
        "first_start_s": 61.0,
        "start_s": 12.0,
        "peak_anonymous_bytes": 1_500_000_000,
        "limit": {"peak_bytes": 7_900_000_000, "limit_hits": 2, "oom_kills": 0},
    }
    return result | changes


def test_percentiles_and_disk_reads_by_kind():
    assert report()["kinds"]["text"] == {
        "cases": 10, "p50_ms": 500.0, "p90_ms": 900.0, "p99_ms": 1000.0, "disk_bytes_median": 0, "disk_bytes_max": 4096,
    }  # fmt: skip


def test_markdown_holds_the_figures():
    text = to_markdown(report())
    assert "| omni | 1.5 | 0.70 | none set | 3.0 |" in text
    assert "| medical | 1.5 | 0.70 | 2.1 | 3.0 |" in text
    assert "| text | 10 | 0.50 | 1.00 | 0.0 MB | 0.0 MB |" in text
    assert "| seconds | 0.20 | 3.00 |" in text
    assert "peak 7.90 GB, out-of-memory kills 0, limit reached 2 times" in text
    assert "llama.cpp" not in text
    assert "no memory limit was set" in to_markdown(report(limit=None))


def test_markdown_of_the_comparison():
    found = {
        "tokens": 100,
        "threads": 2,
        "rounds": 3,
        "layers": {"full": {"omni": 28, "medical": 32}, "cut": {"omni": 9, "medical": 11}},
        "service_s": 1.2,
        "llama_cpp_s": {"full, as loaded": 4.0, "full, repacked": 6.5, "cut, as loaded": 1.3, "cut, repacked": 2.0},
        "ratio": {"full": 0.3, "cut": 0.92},
    }
    text = to_markdown(report(llama_cpp=found))
    assert "| llama.cpp Q4_K_M, both shapes, full, as loaded | 4.00 |" in text
    assert "- service / llama.cpp at full depth (omni 28, medical 32), its faster setting: 0.30" in text


def test_plots_are_pictures(tmp_path: Path):
    samples = [{"seconds": n, "anonymous": 1e9, "file": 2e9 + n, "group": None} for n in range(3)]
    plot_memory(tmp_path / "memory.png", samples, 8_000_000_000)
    plot_lengths(tmp_path / "lengths.png", report()["lengths"])
    for name in ("memory", "lengths"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == (840, 480)
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 3
