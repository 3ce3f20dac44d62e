"""More clients than places: refusals at once, bounded memory, service as before afterwards, and a stop that answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.evaluation.service import MeasuredService
from app.evaluation.speed import image_text_case, percentiles, text_case
from tests.integration.process import ServiceProcess
from tests.integration.requests import ANALYZE
from tests.media_samples import base64_of, encode_image

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

CLIENTS = 16
SECONDS = 8.0
PLACES = 9
"""QUEUE_SIZE 8, and the one that is served."""
MAX_GROWTH_MB = 150.0
IN_WORK = 4


def in_threads(count: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


class Load:
    """What impatient clients, none of which waits after a refusal, were told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(500_000)
        self._lock = threading.Lock()
        self.told: Counter[tuple[int, str | None]] = Counter()
        self.retry_after: list[str | None] = []
        self.admitted_ms: list[float] = []
        self.refused_ms: list[float] = []

    def run(self, clients: int, seconds: float) -> None:
        end = time.monotonic() + seconds

        def client() -> None:
            with httpx.Client(base_url=self._url, timeout=60.0) as http:
                while time.monotonic() < end:
                    self._call(http)

        for thread in in_threads(clients, client):
            thread.join()

    def _call(self, http: httpx.Client) -> None:
        with self._lock:
            body = text_case(next(self._numbers))
        started = time.perf_counter()
        response = http.post(ANALYZE, json=body)
        elapsed = 1000 * (time.perf_counter() - started)
        with self._lock:
            self.told[response.status_code, response.json().get("code")] += 1
            if response.status_code == httpx.codes.OK:
                self.admitted_ms.append(elapsed)
            else:
                self.refused_ms.append(elapsed)
                self.retry_after.append(response.headers.get("retry-after"))
        if response.status_code != httpx.codes.OK:
            time.sleep(0.02)


def test_overload_is_refused_and_passes(service: MeasuredService, client: httpx.Client) -> None:
    Load(service.url).run(2, 1.0)  # what the first cases allocate is not what is measured
    before = service.resident_mb()
    load = Load(service.url)
    load.run(CLIENTS, SECONDS)
    after = service.resident_mb()
    started = time.monotonic()
    assert client.post(ANALYZE, json=text_case(999_999)).status_code == httpx.codes.OK
    answered_s = time.monotonic() - started
    admitted, refused = percentiles(load.admitted_ms), percentiles(load.refused_ms)
    print(f"\n{dict(load.told)} admitted {admitted} refused {refused} memory {before:.0f} -> {after:.0f} MB")

    assert set(load.told) == {(200, None), (429, "queue_full")}
    assert all(value is not None and 1 <= int(value) <= 60 for value in load.retry_after)
    assert before is not None
    assert after is not None
    assert after - before < MAX_GROWTH_MB
    assert answered_s < 2.0
    assert client.get("/health").json()["queue_depth"] == 0
    assert load.told[200, None] >= PLACES, "those who got in were served all the while"


def test_pictures_of_35_megapixels_leave_no_memory_behind(service: MeasuredService) -> None:
    """100 kB each on the wire, 140 MB decoded."""
    body = {"image": base64_of(encode_image(np.zeros((5900, 5900, 3), np.uint8)))}
    before = service.resident_mb()
    statuses: list[int] = []

    def call() -> None:
        statuses.append(httpx.post(service.url + ANALYZE, json=body, timeout=60).status_code)

    for thread in in_threads(4, call):
        thread.join()
    after = service.resident_mb()
    print(f"\nmemory {before:.0f} -> {after:.0f} MB")
    assert statuses == [200] * 4
    assert before is not None
    assert after is not None
    assert after - before < MAX_GROWTH_MB


@pytest.fixture
def stoppable(embedded_pair: Path, tmp_path: Path) -> Iterator[ServiceProcess]:
    del embedded_pair  # built, is all that is needed of it
    with ServiceProcess(tmp_path).start() as running:
        yield running


def test_sigterm_answers_what_is_in_work(stoppable: ServiceProcess) -> None:
    """Each case here has four pictures, so that they are still waiting when the signal comes."""
    numbers = itertools.count()
    answers: list[httpx.Response] = []

    def call() -> None:
        bodies = [image_text_case(4 * next(numbers) + index) for index in range(4)]
        body = {**bodies[0], "image": [item["image"] for item in bodies]}
        answers.append(httpx.post(stoppable.url + ANALYZE, json=body, timeout=60))

    threads = in_threads(IN_WORK, call)
    deadline = time.monotonic() + 20
    while httpx.get(f"{stoppable.url}/health").json()["queue_depth"] < IN_WORK:
        assert time.monotonic() < deadline, "the cases were over before all of them had come"
        time.sleep(0.01)
    stoppable.terminate()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * IN_WORK
    assert stoppable.process.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{stoppable.url}/health/live")
    assert '"exception"' not in stoppable.log.read_text(encoding="utf-8")
