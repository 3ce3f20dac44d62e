"""One large picture at a time: media threads decode beside each other, and memory must not add up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LARGE_PIXELS = 12_000_000
"""Decoded about 50 MB. Most X-rays are smaller, and do not wait for one another."""


class LargePictureTurns:
    """Shared by every thread that decodes; pictures over `large_pixels` wait for one another, others never wait."""

    def __init__(self, large_pixels: int = LARGE_PIXELS) -> None:
        self._large_pixels = large_pixels
        self._lock = threading.Lock()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Hold it for as long as `pixels` (of what is decoded, not of what is kept) are in memory."""
        if pixels <= self._large_pixels:
            yield
            return
        with self._lock:
            yield
