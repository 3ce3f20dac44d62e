"""`python -m app.serve`: the service and the learner on one machine, as two processes that end together.

The exit status is the service's. A learner that dies is started again; one that refuses to start is left, and the
service goes on without it. Each has a process of its own, so that `kill -9` of one is nothing to the other.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.patience import Patience
from app.processes import bound_to_me

SERVICE = (sys.executable, "-m", "app")
LEARNER = (sys.executable, "-m", "app.learning.worker")
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FINAL_STATUSES = {0, 2, 3}
"""Of a learner: told to end, a bad setting, something that must not be served. Starting it again changes none."""
_FIRST_DELAY_S = 2.0
_STEADY_S = 60.0
"""A learner that ran for so long is started again as after a first failure."""
_LEARNER_STOP_S = 15.0


@dataclass
class _Learner:
    """The learner's process, and when to start it anew."""

    command: Sequence[str]
    patience: Patience
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    next_start: float | None = 0.0
    """`time.monotonic()`; None: not again."""
    is_told: bool = False
    """To end."""

    def look(self) -> None:
        """Start it when it is time; see whether it has ended."""
        now = time.monotonic()
        if self.process is not None and (status := self.process.poll()) is not None:
            self.process = None
            self._plan(status, now)
        if self.process is None and self.next_start is not None and now >= self.next_start:
            self._begin(now)

    def _begin(self, now: float) -> None:
        try:
            self.process, self.started = _start(self.command), now
        except OSError as error:  # no process, or no memory for one: the service is not to end for that
            delay = self.patience.next_delay()
            self.next_start = now + delay
            _say(f"the learner cannot be started ({error.strerror}); it is tried again in {delay:.0f} s")

    def _plan(self, status: int, now: float) -> None:
        if self.is_told:
            return
        if status in _FINAL_STATUSES:
            self.next_start = None
            _say(f"the learner has ended with status {status}; the service goes on without it")
            return
        if now - self.started >= _STEADY_S:
            self.patience.reset()
        delay = self.patience.next_delay()
        self.next_start = now + delay
        _say(f"the learner has ended with status {status}; it is started again in {delay:.0f} s")

    def wait_s(self) -> float:
        """Until `look` has something to do, if no signal comes first."""
        if self.process is not None or self.next_start is None:
            return 3600.0
        return max(0.0, self.next_start - time.monotonic())

    def tell(self, signal_number: int) -> None:
        self.next_start, self.is_told = None, True
        if self.process is not None:
            self.process.send_signal(signal_number)

    def end(self) -> None:
        self.tell(signal.SIGTERM)
        if self.process is None:
            return
        try:
            self.process.wait(_LEARNER_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main(
    service_command: Sequence[str] = SERVICE,
    learner_command: Sequence[str] = LEARNER,
    *,
    first_delay_s: float = _FIRST_DELAY_S,
) -> int:
    """The service's exit status; 128 + n where signal n ended it. `first_delay_s`: before a learner's second start."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPS, signal.SIGCHLD))
    service, learner = _start(service_command), _Learner(learner_command, Patience(first_delay_s))
    while (status := service.poll()) is None:
        learner.look()
        received = signal.sigtimedwait((*_STOPS, signal.SIGCHLD), learner.wait_s())
        if received is not None and received.si_signo in _STOPS:
            service.send_signal(received.si_signo if received.si_signo == signal.SIGINT else signal.SIGTERM)
            learner.tell(signal.SIGTERM)
    learner.end()
    return status if status >= 0 else 128 - status


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C reaches this process alone, which passes it on once."""
    return subprocess.Popen(command, start_new_session=True, preexec_fn=bound_to_me(signal.SIGTERM))  # noqa: PLW1509


def _say(line: str) -> None:
    sys.stderr.write(f"medmodal: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
