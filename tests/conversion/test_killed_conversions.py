"""SIGKILL anywhere: the next run of the same command gives what an undisturbed one gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNS = Path(__file__).with_name("killed_runs.py")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, checkpoint) -> list[dict[str, Any]]:
    command = [sys.executable, str(RUNS), str(checkpoint("omni")), str(tmp_path_factory.mktemp("killed"))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_the_next_run_ends_as_an_undisturbed_one(reports):
    whole = reports[0]["files"]
    ended = [report for report in reports[1:] if "left" in report]
    assert len(ended) > 12
    kinds = {moment for report in ended for moment in report["case"]}
    assert {"write", "append", "file_sha256", "_flush", "rename"} <= kinds
    for report in ended:
        assert report["files"] == whole, report["case"]
        assert report["left"] == ["out"], report["case"]


def test_whatever_a_killed_run_leaves_with_a_manifest_is_whole(reports):
    """Its hashes were checked when it was found."""
    whole = reports[0]["files"]
    killed = [report for report in reports if "loads" in report]
    for report in killed:
        assert all(files == whole for files in report["loads"]), report["case"]
    early = [report["loads"] for report in killed if report["case"][1] in {"write", "append", "file_sha256"}]
    assert early
    assert not any(early)
