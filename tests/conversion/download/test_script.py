"""scripts/download_models.sh as a user runs it, killed too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conversion.download.fake_hub import MEDICAL, SECRET, FakeHub

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "download_models.sh"
BIG = "model-layer0.safetensors"


@pytest.fixture
def big_hub(medical_folder: Path) -> Iterator[FakeHub]:
    """A medical repository with one file that takes a while: 12 MB, random, its tensors are not read here."""
    with FakeHub() as hub:
        files = {path.name: path.read_bytes() for path in medical_folder.iterdir()}
        hub.publish(MEDICAL, {**files, BIG: os.urandom(12_000_000)})
        yield hub


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """The script in a bare environment, from another folder."""
    started = []

    def script(endpoint: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "LANG": "C.UTF-8"}
        settings = {"PYTHON": sys.executable, "HF_ENDPOINT": endpoint, "HF_TOKEN": SECRET, "OMP_NUM_THREADS": "1"}
        command = [str(SCRIPT), "--output", str(tmp_path / "downloads"), "--slot", "medical", *arguments]
        # a shell starts background jobs with Ctrl-C ignored, which a child would inherit
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            command,
            env={**bare, **settings, **environment},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield script
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    assert SECRET not in out + err
    return process.returncode, out, err


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete"))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_nothing_is_told(hub: FakeHub) -> None:
    """No telemetry: not which libraries are here, no device, no other protocol's servers."""
    assert not [headers for _, _, headers in hub.requests if "torch/" in headers["user-agent"]]
    assert not [path for _, path, _ in hub.requests if "telemetry" in path or "xet" in path]


def test_a_killed_download_goes_on_and_ends_the_same(big_hub, start, tmp_path):
    """kill -9 in the middle of a file, while a second one is turned away; then the rest comes, by range."""
    folder = tmp_path / "downloads" / "medical"
    big_hub.stall_after[BIG] = 7_000_000
    first = start(big_hub.endpoint)
    wait_until(lambda: bytes_below(folder) >= 6_000_000, first)
    code, out, err = ended(start(big_hub.endpoint))
    assert (code, out) == (1, "")
    assert err == f"error: another download is running in {tmp_path / 'downloads'}\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    stopped_at = bytes_below(folder)
    code, out, _ = ended(start(big_hub.endpoint, "--check"))
    assert code == 1
    assert f"  partial  {BIG}  " in out
    big_hub.stall_after.clear()
    big_hub.release.set()
    code, out, err = ended(start(big_hub.endpoint))
    assert (code, err) == (0, "")
    assert big_hub.ranges(BIG) == [f"bytes={stopped_at}-"]
    lock = json.loads((tmp_path / "downloads" / "medical.lock.json").read_text())
    published = big_hub.repos[MEDICAL].commits[lock["revision"]]
    assert {name: (folder / name).read_bytes() for name in lock["files"]} == {
        name: published[name].data for name in lock["files"]
    }
    assert bytes_below(folder) == 0
    assert_nothing_is_told(big_hub)
    code, out, _ = ended(start("http://127.0.0.1:9", "--check", "--full", HF_HUB_OFFLINE="1"))
    assert code == 0
    assert f"{len(lock['files'])} of {len(lock['files'])} files are whole" in out


def test_ctrl_c_is_one_line(big_hub, start):
    big_hub.stall_after["tokenizer.json"] = 100
    process = start(big_hub.endpoint)
    wait_until(lambda: "tokenizer.json" in big_hub.transfers(), process)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert (code, err) == (130, "interrupted: run it again, it goes on where it stopped\n")


@pytest.mark.parametrize(("language", "message"), [("C.UTF-8", "error: there is no"), ("ko_KR.UTF-8", "오류: ")])
def test_without_python_it_says_so(start, language, message):
    code, out, err = ended(start("http://127.0.0.1:9", PYTHON="/nowhere/python", LANG=language))
    assert (code, out) == (1, "")
    assert err.startswith(message)
    assert "/nowhere/python" in err
