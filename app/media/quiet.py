"""Keeps decoder libraries silent: their warnings and debug lines quote file contents, and files name patients."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("PIL", "pydicom", "libav")


class _WarningSilence:
    """`warnings.catch_warnings` that may be entered by several threads: the last one out restores the filters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._catcher = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.simplefilter("ignore")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._catcher.__exit__(None, None, None)


_silence = _WarningSilence()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No warning and no log line of a decoder library leaves this block."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()
