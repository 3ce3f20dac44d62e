import asyncio
import threading

import pytest

from app.errors import OverloadedError
from app.services.pools import WorkerPool


async def test_runs_off_the_event_loop() -> None:
    pool = WorkerPool("work", threads=1, backlog=1)
    name = await pool.run(lambda: threading.current_thread().name)
    assert name.startswith("work")
    pool.close()


async def test_refuses_what_it_cannot_keep() -> None:
    release = threading.Event()
    pool = WorkerPool("work", threads=1, backlog=1)
    kept = [asyncio.create_task(pool.run(lambda: release.wait(5))) for _ in range(2)]
    await asyncio.sleep(0.02)
    with pytest.raises(OverloadedError) as caught:
        await pool.run(lambda: True)
    assert (caught.value.code, caught.value.params) == ("server_busy", {"retry_after_s": 1})
    release.set()
    assert await asyncio.gather(*kept) == [True, True]
    assert await pool.run(lambda: 7) == 7
    pool.close()


async def test_a_cancelled_caller_takes_its_waiting_job_along() -> None:
    release, ran = threading.Event(), []
    pool = WorkerPool("work", threads=1, backlog=2)
    first = asyncio.create_task(pool.run(lambda: release.wait(5)))
    second = asyncio.create_task(pool.run(lambda: ran.append("second")))
    await asyncio.sleep(0.02)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    release.set()
    await first
    pool.close()
    assert ran == []


async def test_an_error_reaches_the_caller_and_frees_the_thread() -> None:
    pool = WorkerPool("work", threads=1, backlog=0)

    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await pool.run(fail)
    pool.close()
