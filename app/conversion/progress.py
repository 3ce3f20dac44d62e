"""How a conversion tells how far it is, and when it will be done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

PLAIN_SECONDS = 10.0
"""Between two lines of a log."""
TERMINAL_SECONDS = 0.2
"""Between two states of a terminal's one line."""
FIRST_ESTIMATE_SECONDS = 2.0
CLEAR = "\r\x1b[K"


class Progress(Protocol):
    """One stage after another, each with a known total."""

    def plan(self, costs: Mapping[str, float]) -> None:
        """The stages to come, and what each costs compared with the others: one measure over all of them."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` units; ends the one before. One that was not planned is measured on its own."""

    def detail(self, text: str) -> None:
        """What of the stage comes now, such as "layer 7/28"."""

    def advance(self, amount: int) -> None:
        """`amount` more units of the current stage are done."""

    def skip(self, amount: int) -> None:
        """An earlier run did `amount` units: they are done, and say nothing about the speed of this one."""

    def close(self) -> None:
        """End the last stage."""


class NoProgress:
    """Says nothing."""

    def plan(self, costs: Mapping[str, float]) -> None:
        del costs

    def stage(self, name: str, total: int) -> None:
        del name, total

    def detail(self, text: str) -> None:
        del text

    def advance(self, amount: int) -> None:
        del amount

    def skip(self, amount: int) -> None:
        del amount

    def close(self) -> None:
        return


class Meter:
    """Share done, time passed and time left over the stages of one plan."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.plan({})

    def plan(self, costs: Mapping[str, float]) -> None:
        self._costs = dict(costs)
        self._begun = self._clock()
        self._finished = self._skipped = self._total = self._current = 0.0
        self._name = ""

    def stage(self, name: str, total: int) -> None:
        if name not in self._costs:
            self.plan({name: 1.0})
        self._finished += self._costs.get(self._name, 0.0)
        self._name, self._total, self._current = name, float(total), 0.0

    def advance(self, amount: int) -> None:
        self._current += amount

    def skip(self, amount: int) -> None:
        self._current += amount
        self._skipped += self._cost(amount)

    @property
    def share(self) -> float:
        """0 to 1."""
        total = sum(self._costs.values())
        return min(1.0, (self._finished + self._cost(self._current)) / total) if total else 0.0

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._begun

    @property
    def left_s(self) -> float | None:
        """Seconds at the speed of this run so far; None before there is one."""
        total = sum(self._costs.values())
        done = self.share * total
        worked = done - self._skipped
        if worked <= 0 or self.elapsed_s < FIRST_ESTIMATE_SECONDS:
            return None
        return (total - done) * self.elapsed_s / worked

    def _cost(self, amount: float) -> float:
        return self._costs.get(self._name, 0.0) * min(1.0, amount / self._total) if self._total else 0.0


class ConsoleProgress:
    """On a terminal one line that changes; elsewhere, for a log to be read, a line a stage and every ten seconds."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`stream` None: standard error."""
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._clock = clock
        self._meter = Meter(clock)
        self._stage = self._detail = ""
        self._printed = 0.0

    def plan(self, costs: Mapping[str, float]) -> None:
        self._meter.plan(costs)

    def stage(self, name: str, total: int) -> None:
        self._meter.stage(name, total)
        self._stage, self._detail = name, ""
        self._print()

    def detail(self, text: str) -> None:
        self._detail = text
        self._print_if_due()

    def advance(self, amount: int) -> None:
        self._meter.advance(amount)
        self._print_if_due()

    def skip(self, amount: int) -> None:
        self._meter.skip(amount)
        self._print_if_due()

    def close(self) -> None:
        if not self._stage:
            return
        self._print()
        if self._is_terminal:
            self._stream.write("\n")
            self._stream.flush()
        self._stage = ""

    def _print_if_due(self) -> None:
        if self._clock() - self._printed >= (TERMINAL_SECONDS if self._is_terminal else PLAIN_SECONDS):
            self._print()

    def _print(self) -> None:
        self._printed = self._clock()
        left = self._meter.left_s
        times = f"{_duration(self._meter.elapsed_s)} so far" + ("" if left is None else f", {_duration(left)} left")
        line = f"{100 * self._meter.share:3.0f} %  {' '.join((self._stage, self._detail)).strip()}  ({times})"
        self._stream.write(f"{CLEAR}{line}" if self._is_terminal else f"{line}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    """7 -> 0:07, 3723 -> 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
