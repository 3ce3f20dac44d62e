"""A process that starts another keeps hold of it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from functools import partial

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, last_signal: signal.Signals) -> None:
    """Called in the child: the kernel sends it `last_signal` once `parent`, who started it, has gone however it went.

    prctl(2). OSError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it went before the kernel knew
        os.kill(os.getpid(), last_signal)


def bound_to_me(last_signal: signal.Signals, *further: Callable[[], object]) -> Callable[[], None]:
    """For `Popen(preexec_fn=)` of a process with one thread: the child goes with the calling process.

    It starts with no signal blocked. `further` are called in the child too.
    """
    return partial(_begin, os.getpid(), last_signal, further)


def _begin(parent: int, last_signal: signal.Signals, further: tuple[Callable[[], object], ...]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for call in further:
        call()
    die_with_parent(parent, last_signal)
