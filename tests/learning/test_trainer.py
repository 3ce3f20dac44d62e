"""The training process: started, told to end, killed where it does not listen, gone with its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.learning.trainer import Trainer
from tests.learning.worker_world import is_alive, until

SLEEP = "import time; time.sleep(60)"
DEAF = (
    "import signal, sys; signal.signal(15, lambda *_: None); open(sys.argv[1], 'w').close(); signal.pause(); " + SLEEP
)


def trainer(code: str, *arguments: str) -> Trainer:
    return Trainer([sys.executable, "-S", "-c", code, *arguments], stop_s=0.3)


def test_each_attempt_has_a_name_of_its_own() -> None:
    one = trainer("import sys; sys.exit(len(sys.argv[2]))")
    statuses, owners = [], []
    for _ in range(2):
        one.start("run_1")
        owners.append(one.owner)
        statuses.append(until(lambda: one.ended() is not None and one.ended()))
        one.forget()
    assert owners[0] != owners[1]
    assert statuses == [len(owner or "") for owner in owners]
    assert one.owner is None


def test_a_running_one_is_told_to_end() -> None:
    one = trainer(SLEEP)
    one.start("run_1")
    assert one.is_running
    one.stop()
    assert one.ended() == -signal.SIGTERM


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    one = trainer(DEAF, str(tmp_path / "deaf"))
    one.start("run_1")
    until((tmp_path / "deaf").exists)
    one.stop()
    assert one.ended() == -signal.SIGKILL


def test_stopping_none_is_nothing() -> None:
    one = trainer(SLEEP)
    one.stop()
    one.kill()
    assert one.ended() is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_goes_with_the_worker_however_that_went(how: signal.Signals) -> None:
    code = (
        "import sys, time; from app.learning.trainer import Trainer; "
        f"one = Trainer([sys.executable, '-S', '-c', {SLEEP!r}]); one.start('run_1'); "
        "print(one.pid, file=sys.stderr, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stderr is not None
        pid = int(worker.stderr.readline())
        assert is_alive(pid)
        worker.send_signal(how)
        worker.wait()
        until(lambda: not is_alive(pid), 5)
