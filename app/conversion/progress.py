"""How a conversion tells how far it is."""

from __future__ import annotations

from typing import NoReturn, Protocol

from tqdm import tqdm


class Progress(Protocol):
    """One stage after another, each with a known total."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """Begin a stage of `total` units; ends the one before."""

    def advance(self, amount: int) -> None:
        """`amount` more units of the current stage are done."""

    def close(self) -> None:
        """End the last stage."""


class NoProgress:
    """Says nothing."""

    def stage(self, name: str, total: int, unit: str) -> None:
        del name, total, unit

    def advance(self, amount: int) -> None:
        del amount

    def close(self) -> None:
        return


class TqdmProgress:
    """One bar a stage, on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None

    def stage(self, name: str, total: int, unit: str) -> None:
        self.close()
        self._bar = tqdm(
            total=total, desc=f"{name:<16}", unit=unit, unit_scale=True, dynamic_ncols=True, mininterval=0.5
        )

    def advance(self, amount: int) -> None:
        if self._bar is not None:
            self._bar.update(amount)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
