"""Threads of our own: blocking work never runs on the event loop, nor on a pool shared with strangers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from app.errors import OverloadedError

T = TypeVar("T")


class WorkerPool:
    """`threads` workers and at most `backlog` jobs waiting for them; the next one is refused, never kept."""

    def __init__(self, name: str, *, threads: int, backlog: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._capacity = threads + backlog
        self._jobs: set[Future[object]] = set()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """OverloadedError("server_busy") when every worker is taken and the backlog is full. Event loop only."""
        self._jobs = {job for job in self._jobs if not job.done()}
        if len(self._jobs) >= self._capacity:
            raise OverloadedError("server_busy", retry_after_s=1)
        job = self._executor.submit(work)
        self._jobs.add(job)  # type: ignore[arg-type]
        return job

    async def run(self, work: Callable[[], T]) -> T:
        """A cancelled caller takes a waiting job with it; one that runs ends by itself and its result is dropped."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Drop what waits and return when what runs has ended."""
        self._executor.shutdown(wait=True, cancel_futures=True)
