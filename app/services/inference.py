"""The bounded queue in front of the models: one inference at a time, on threads of its own.

A case takes a place first, then decodes its media on the media threads, then waits for the one inference thread.
Whoever finds no place is refused at once, so the cost of a thousand callers is a thousand refusals and never a thousand
decodes. A place is given back when its case is answered, at its deadline, or when its client goes away; work that
already runs is told to stop and keeps the place until it has, so that the count never claims more room than there is.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from app.encoders.session import Cancellation
from app.errors import OverloadedError
from app.services.pools import WorkerPool

T = TypeVar("T")

_FIRST_ESTIMATE_S = 0.5
_SMOOTHING = 0.2
_MAX_RETRY_AFTER_S = 60


class Place:
    """One case's place in the queue; from `InferenceQueue.place` only."""

    def __init__(self, queue: InferenceQueue) -> None:
        self.cancellation = Cancellation()
        self._queue = queue
        self._jobs: list[Future[object]] = []

    async def decode(self, work: Callable[[], T]) -> T:
        """Run `work` on a media thread."""
        return await self._run(self._queue.media, work)

    async def infer(self, work: Callable[[], T]) -> T:
        """Run `work` on the inference thread, after everyone who asked before."""
        return await self._run(self._queue.inference, partial(self._queue.timed, work))

    async def _run(self, pool: WorkerPool, work: Callable[[], T]) -> T:
        job = pool.submit(work)
        self._jobs.append(job)  # type: ignore[arg-type]
        return await asyncio.wrap_future(job)

    def abandon(self) -> None:
        """Nobody waits for the answer any more: what has not begun is dropped, what runs is told to stop."""
        self.cancellation.cancel()
        for job in self._jobs:
            job.cancel()

    def when_idle(self, action: Callable[[], None]) -> None:
        """Call `action` once, when no job of this place runs; at once where none does."""
        running = [job for job in self._jobs if not job.done()]
        if running:  # jobs of one place follow each other, so at most one runs
            running[-1].add_done_callback(lambda _: action())
        else:
            action()


class InferenceQueue:
    """`waiting` places beside the one that is served."""

    def __init__(self, *, waiting: int, media_threads: int) -> None:
        self._capacity = waiting + 1
        self._taken = 0
        self._lock = threading.Lock()
        self._mean_s = _FIRST_ESTIMATE_S
        self.inference = WorkerPool("inference", threads=1, backlog=self._capacity)
        self.media = WorkerPool("media", threads=media_threads, backlog=self._capacity)

    @property
    def depth(self) -> int:
        """Places taken: the case being served, those waiting, and work that has not stopped yet."""
        return self._taken

    @property
    def is_full(self) -> bool:
        return self._taken >= self._capacity

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """A place for the length of the block. OverloadedError("queue_full") when there is none."""
        place = Place(self)
        self._take()
        try:
            yield place
        except BaseException:
            place.abandon()
            raise
        finally:
            place.when_idle(self._give_back)

    def refuse_if_full(self) -> None:
        """OverloadedError before a body is read that could not be served anyway."""
        if self.is_full:
            raise OverloadedError("queue_full", retry_after_s=self.retry_after_s())

    def retry_after_s(self) -> int:
        """Seconds until the queue should have moved, from the mean of recent cases."""
        return min(max(math.ceil(self._mean_s * self._taken / 2), 1), _MAX_RETRY_AFTER_S)

    def timed(self, work: Callable[[], T]) -> T:
        """Run `work` here and learn how long a case takes. Inference thread only."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._mean_s += _SMOOTHING * (time.perf_counter() - started - self._mean_s)

    def close(self) -> None:
        self.media.close()
        self.inference.close()

    def _take(self) -> None:
        with self._lock:
            self.refuse_if_full()
            self._taken += 1

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1
