"""The training process: started for one attempt at a run, in low priority, and never left behind."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from app.learning.log import learning_log
from app.learning.machine import lower_priority
from app.processes import bound_to_me

TRAINER = (sys.executable, "-m", "app.learning.runner")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
_STOP_S = 7.0
"""A trainer that was told to end gives its run back within this time. Below the 10 s in which a worker ends."""


def new_owner() -> str:
    """A name to claim a run with: which machine, which learner, and never the same twice."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(6)}"


class Trainer:
    """At most one process. For a process without other threads: the child is set up between fork and exec."""

    def __init__(self, command: Sequence[str] = TRAINER, *, stop_s: float = _STOP_S) -> None:
        """`command` gets `--owner NAME`, the name to claim the run with."""
        self._command = tuple(command)
        self._stop_s = stop_s
        self._process: subprocess.Popen[bytes] | None = None
        self.owner: str | None = None
        """Of the attempt that is under way, or that has ended and was not yet `forgotten`."""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    def start(self, run_id: str) -> None:
        """For the run that waits; the process claims it itself. OSError where no process can be made."""
        owner = new_owner()
        self._process = subprocess.Popen(
            (*self._command, "--owner", owner),
            env={**os.environ, **_ONE_THREAD},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=bound_to_me(signal.SIGKILL, lower_priority),  # noqa: PLW1509 - no other thread
        )
        self.owner = owner
        learning_log().info("trainer_started", run_id=run_id, pid=self._process.pid)

    def ended(self) -> int | None:
        """The exit status of one that has ended, negative for a signal; None where none has."""
        return None if self._process is None else self._process.poll()

    def forget(self) -> None:
        """One that has ended, once its lease was seen to."""
        self._process = self.owner = None

    def kill(self) -> None:
        """One that hangs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Tell it to give its run back and to end; kill it where it does not."""
        if self._process is None or not self.is_running:
            return
        started = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(self._stop_s)
        except subprocess.TimeoutExpired:
            self.kill()
        learning_log().info(
            "trainer_stopped", status=self._process.returncode, seconds=round(time.monotonic() - started, 1)
        )
