"""How long to wait after a failure."""

from __future__ import annotations

LONGEST_DELAY_S = 60.0


class Patience:
    """A delay that doubles with each failure in a row, up to a minute."""

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._failures = 0

    def next_delay(self) -> float:
        """Seconds; one failure more."""
        self._failures += 1
        doubled = self._first_s * 2.0 ** min(self._failures - 1, 16)
        return min(doubled, max(self._first_s, LONGEST_DELAY_S))

    def reset(self) -> None:
        self._failures = 0
