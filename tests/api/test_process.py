"""The process as a whole: it drains on SIGTERM, and refuses to start with one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.__main__ import _announce
from tests.api.harness import ANALYZE, ENGLISH, settings
from tests.api.sockets import connect, head, read_reply
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def slow_service() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """One second a case."""
    port = free_port()
    command = [sys.executable, "-m", "tests.api.served_fake", str(port), "1.0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{address}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready)
    yield process, address
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_sigterm_finishes_what_is_in_work_and_takes_nothing_new(
    slow_service: tuple[subprocess.Popen[str], str],
) -> None:
    process, address = slow_service
    statuses: list[int] = []

    def call() -> None:
        statuses.append(httpx.post(address + ANALYZE, json={"text": ENGLISH}, timeout=20).status_code)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until(lambda: httpx.get(f"{address}/health").json()["queue_depth"] == 3)
    body = json.dumps({"text": ENGLISH}).encode()
    with connect(address) as late:
        late.sendall(head(ANALYZE, "Content-Type: application/json", f"Content-Length: {len(body)}"))
        wait_until(lambda: _requests_open(process) >= 4)
        process.send_signal(signal.SIGTERM)
        late.sendall(body)
        reply = read_reply(late)
    for caller in callers:
        caller.join(15)
    assert statuses == [200, 200, 200], "who was let in gets an answer"
    assert (reply.status, reply.json()["code"]) == (503, "shutting_down")
    assert reply.headers["retry-after"] == "5"
    assert process.wait(15) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health/live")


def _requests_open(process: subprocess.Popen[str]) -> int:
    """Established connections of the process, from its file descriptors."""
    sockets = [entry for entry in Path(f"/proc/{process.pid}/fd").iterdir() if _is_socket(entry)]
    return len(sockets)


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}}
    command = [sys.executable, "-m", "app"]
    env = {**kept, **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({"PORT": "eighty"}, 2, "PORT"),
        ({"HOST": "0.0.0.0"}, 2, "API_KEYS"),  # noqa: S104 - that this is refused is what is tested
        ({"DATABASE_URL": "mysql://me:hunter2@db/x"}, 2, "DATABASE_URL"),
        ({"QWEN_MODEL_PATH": "/nowhere"}, 3, "/nowhere"),
        ({"QUANTIZATION_TYPE": "int4"}, 3, "the omni folder is int8, QUANTIZATION_TYPE=int4"),
        ({"MMED_LLAMA_CUT_LAYER": "7"}, 3, "MMED_LLAMA_CUT_LAYER=7, the fusion weights read layer 11: set 0"),
        ({"QWEN_CUT_LAYER": "9"}, 3, "asked=9, held=8"),
        ({"MAX_MEMORY": "1GiB"}, 3, "1.0 GiB allowed by MAX_MEMORY"),
    ],
)
def test_it_refuses_to_start_with_one_line(environment: dict[str, str], status: int, words: str) -> None:
    ended = start(**environment)
    assert ended.returncode == status, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert words in ended.stderr
    assert "hunter2" not in ended.stderr
    assert ended.stdout == ""


def test_it_says_where_it_listens_and_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    _announce(settings(host="::1"), 8123)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "http://[::1]:8123" in said
    assert "this machine only" in said
    assert "curl -s http://[::1]:8123/api/v1/analyze" in said
    _announce(settings(api_keys="k" * 16), 1)
    guarded = capsys.readouterr().err
    assert "X-API-Key" in guarded
    assert "kkk" not in guarded


def test_a_damaged_weight_ends_the_process_with_one_line(tmp_path: Path) -> None:
    """It listens and loads, and never becomes ready: whoever started it hears why, instead of a 503 for ever."""
    damaged = shutil.copytree(ROOT / "models/embedded/build/medical", tmp_path / "medical", copy_function=os.link)
    weights = damaged / "decoder.onnx.data"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.unlink()
    weights.write_bytes(content)
    ended = start(
        PORT="0",
        PREPARE="off",
        MMED_LLAMA_MODEL_PATH=str(damaged),
        DATABASE_URL=f"sqlite:///{tmp_path}/rows.db",
        CACHE_DIR=str(tmp_path / "cache"),
    )
    assert ended.returncode == 3, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("medmodal: model_file_damaged (folder=")
    assert "file=decoder.onnx.data" in last
    assert '"event": "load_failed"' in ended.stdout
    assert '"event": "ready"' not in ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout


def test_a_graph_that_points_beyond_its_data_is_seen_before_anything_listens(tmp_path: Path) -> None:
    damaged = shutil.copytree(ROOT / "models/embedded/build/omni", tmp_path / "omni", copy_function=os.link)
    weights = damaged / "vision.onnx.data"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[: len(content) // 2])
    ended = start(PORT="0", QWEN_MODEL_PATH=str(damaged))
    assert ended.returncode == 3
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "model_file_damaged" in ended.stderr
    assert ended.stdout == ""
