import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from app.errors import DeadlineError, OverloadedError
from app.services.inference import InferenceQueue, Place
from tests.services.waiting import until


@pytest.fixture
def queue() -> Iterator[InferenceQueue]:
    made = InferenceQueue(waiting=2, media_threads=2)
    yield made
    made.close()


async def settled(queue: InferenceQueue, depth: int) -> None:
    """Wait until the queue holds `depth` places: threads give theirs back a moment later."""
    await until(lambda: queue.depth == depth)


async def occupy(queue: InferenceQueue, release: threading.Event, started: list[int], number: int) -> None:
    def work() -> None:
        started.append(number)
        release.wait(5)

    async with queue.place() as place:
        await place.infer(work)


async def test_one_inference_at_a_time_in_the_order_of_arrival(queue: InferenceQueue) -> None:
    running: list[int] = []
    most, order = [0], []

    def work(number: int) -> None:
        running.append(number)
        most[0] = max(most[0], len(running))
        order.append(number)
        time.sleep(0.01)
        running.remove(number)

    async def case(number: int) -> None:
        async with queue.place() as place:
            await place.infer(lambda: work(number))

    await asyncio.gather(*(case(number) for number in range(3)))
    assert most == [1]
    assert order == [0, 1, 2]


async def test_no_place_is_a_refusal_with_a_time_to_come_back(queue: InferenceQueue) -> None:
    release, started = threading.Event(), list[int]()
    tasks = [asyncio.create_task(occupy(queue, release, started, number)) for number in range(3)]
    await settled(queue, 3)
    with pytest.raises(OverloadedError) as caught:
        async with queue.place():
            raise AssertionError("there was a place")
    assert caught.value.code == "queue_full"
    assert 1 <= int(caught.value.params["retry_after_s"]) <= 60
    with pytest.raises(OverloadedError):
        queue.refuse_if_full()
    release.set()
    await asyncio.gather(*tasks)
    await settled(queue, 0)
    queue.refuse_if_full()


async def test_a_waiting_case_that_is_cancelled_frees_its_place_at_once(queue: InferenceQueue) -> None:
    release, started = threading.Event(), list[int]()
    first = asyncio.create_task(occupy(queue, release, started, 1))
    await settled(queue, 1)
    second = asyncio.create_task(occupy(queue, release, started, 2))
    await settled(queue, 2)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert queue.depth == 1
    release.set()
    await first
    assert started == [1], "the cancelled case never ran"


async def test_a_running_case_that_is_cancelled_keeps_its_place_until_it_stopped(queue: InferenceQueue) -> None:
    release, entered = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        release.wait(5)

    async def case() -> None:
        async with queue.place() as place:
            await place.infer(work)

    task = asyncio.create_task(case())
    await asyncio.to_thread(entered.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert queue.depth == 1
    release.set()
    await settled(queue, 0)


async def test_cancelling_tells_the_running_work_to_stop(queue: InferenceQueue) -> None:
    outcome: list[str] = []
    entered = threading.Event()

    def work(place: Place) -> None:
        entered.set()
        try:
            for _ in range(1000):
                place.cancellation.check()
                time.sleep(0.005)
        except DeadlineError:
            outcome.append("stopped")
            raise

    async def case() -> None:
        async with queue.place() as place:
            await place.infer(lambda: work(place))

    task = asyncio.create_task(case())
    await asyncio.to_thread(entered.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await settled(queue, 0)
    assert outcome == ["stopped"]


async def test_failing_work_frees_the_place(queue: InferenceQueue) -> None:
    def fail() -> None:
        raise ValueError("bad")

    for _ in range(5):
        with pytest.raises(ValueError, match="bad"):
            async with queue.place() as place:
                await place.infer(fail)
        with pytest.raises(ValueError, match="bad"):
            async with queue.place() as place:
                await place.decode(fail)
    await settled(queue, 0)


async def test_decoding_goes_on_beside_an_inference(queue: InferenceQueue) -> None:
    release, started = threading.Event(), list[int]()
    task = asyncio.create_task(occupy(queue, release, started, 1))
    async with queue.place() as place:
        assert await place.decode(lambda: "decoded") == "decoded"
    release.set()
    await task


async def test_the_time_to_come_back_follows_how_long_cases_take(queue: InferenceQueue) -> None:
    release, started = threading.Event(), list[int]()
    for _ in range(20):
        async with queue.place() as place:
            await place.infer(lambda: time.sleep(0.001))
    tasks = [asyncio.create_task(occupy(queue, release, started, number)) for number in range(3)]
    await settled(queue, 3)
    assert queue.retry_after_s() == 1
    release.set()
    await asyncio.gather(*tasks)
