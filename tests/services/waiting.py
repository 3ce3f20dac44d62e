"""Waits for what another thread does, with a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LIMIT_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """TimeoutError when it does not come true within the limit."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the condition changes in another thread
            await asyncio.sleep(0.002)


def wait_until(condition: Callable[[], bool]) -> None:
    """The same outside of an event loop."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)
