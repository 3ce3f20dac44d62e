"""`python -m app.serve`: two processes that end together, with stand-ins for the service and the learner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.learning.worker_world import ROOT, is_alive, until

STAND_IN = """
import os, pathlib, signal, sys, time
folder, name, status = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def end(number, _frame):
    (folder / f"{name}.signal").write_text(str(number))
    sys.exit(status)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end)
print(name, "speaks", flush=True)
(folder / f"{name}.{os.getpid()}").touch()
while not (folder / f"{name}.end").exists():
    time.sleep(0.01)
(folder / f"{name}.end").unlink()
sys.exit(status)
"""


class Together:
    """The launcher, and what its two processes leave in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher: subprocess.Popen[str] | None = None

    def start(self, service_status: int = 0, learner_status: int = 0) -> None:
        def command(name: str, status: int) -> list[str]:
            return [sys.executable, "-S", "-c", STAND_IN, str(self.folder), name, str(status)]

        code = (
            f"import sys; from app.serve import main; service = {command('service', service_status)!r}; "
            f"sys.exit(main(service, {command('learner', learner_status)!r}, first_delay_s=0.05))"
        )
        self.launcher = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pids(self, name: str) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self.folder.glob(f"{name}.*") if path.suffix[1:].isdigit())

    def pid(self, name: str, number: int = 1) -> int:
        """Of the `number`-th one that was started, as soon as it is there."""
        return int(until(lambda: len(self.pids(name)) >= number and max(self.pids(name))))

    def signalled(self, name: str) -> int | None:
        path = self.folder / f"{name}.signal"
        return int(path.read_text()) if path.exists() else None

    def end(self, name: str) -> None:
        (self.folder / f"{name}.end").touch()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self.launcher is not None
        return self.launcher


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Together]:
    made = Together(tmp_path)
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_both_end_with_the_launcher_and_its_status_is_the_services(together: Together, how: signal.Signals) -> None:
    together.start(service_status=7, learner_status=5)
    pids = [together.pid("service"), together.pid("learner")]
    together.process.send_signal(how)
    output, _ = together.process.communicate(timeout=20)
    assert together.process.returncode == 7
    assert (together.signalled("service"), together.signalled("learner")) == (how, signal.SIGTERM)
    assert not any(is_alive(pid) for pid in pids)
    assert sorted(output.splitlines()) == ["learner speaks", "service speaks"], (
        "one output, and nothing to say of an end"
    )


def test_a_service_that_ends_by_itself_takes_the_learner_along(together: Together) -> None:
    together.start(service_status=3)
    together.pid("service")
    together.pid("learner")
    together.end("service")
    assert together.process.wait(20) == 3
    assert together.signalled("learner") == signal.SIGTERM


def test_a_service_that_is_killed_is_told_by_the_status(together: Together) -> None:
    together.start()
    together.pid("learner")
    os.kill(together.pid("service"), signal.SIGKILL)
    assert together.process.wait(20) == 128 + signal.SIGKILL


def test_a_learner_that_dies_is_started_again_and_the_service_goes_on(together: Together) -> None:
    together.start()
    service = together.pid("service")
    os.kill(together.pid("learner"), signal.SIGKILL)
    together.pid("learner", 2)
    assert together.pids("service") == [service]
    assert is_alive(service)


@pytest.mark.parametrize("status", [0, 2, 3])
def test_a_learner_that_cannot_start_is_left_and_the_service_goes_on(together: Together, status: int) -> None:
    together.start(learner_status=status)
    together.pid("learner")
    together.end("learner")
    assert together.process.stdout is not None
    lines = iter(together.process.stdout.readline, "")
    assert any(f"the learner has ended with status {status}; the service goes on" in line for line in lines)
    together.process.send_signal(signal.SIGTERM)
    assert together.process.wait(20) == 0
    assert len(together.pids("learner")) == 1


def test_a_learner_that_no_process_can_be_made_for_is_tried_again_and_the_service_goes_on(tmp_path: Path) -> None:
    missing, service = tmp_path / "learner", [sys.executable, "-S", "-c", "import time; time.sleep(0.5)"]
    code = (
        f"import sys; from app.serve import main; sys.exit(main({service!r}, [{str(missing)!r}], first_delay_s=0.05))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 0
    assert ended.stderr.count("the learner cannot be started (No such file or directory); it is tried again") >= 2


def test_nothing_is_left_of_a_launcher_that_is_killed(together: Together) -> None:
    together.start()
    pids = [together.pid("service"), together.pid("learner")]
    together.process.kill()
    until(lambda: not any(is_alive(pid) for pid in pids), 10)
