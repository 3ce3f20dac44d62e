"""Versions that change under load: does every answer come, from one version, and does it wait for the change?"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from app.evaluation.speed import percentiles, text_case

NOTICED_S = 5.0
"""A service that runs follows the pointer within this time."""
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`began` and `ended` in seconds of `time.perf_counter`; `body` without ids and times."""

    case: int
    began: float
    ended: float
    status: int
    version: str
    body: bytes

    def overlaps(self, windows: Iterable[tuple[float, float]]) -> bool:
        return any(self.began < end and self.ended > start for start, end in windows)


def ask(client: httpx.Client, case: int) -> Answer:
    """One of `speed.text_case`'s cases."""
    began = time.perf_counter()
    answer = client.post("/api/v1/analyze", json=text_case(case))
    ended = time.perf_counter()
    version = answer.json()["metadata"]["models"]["fusion"] if answer.status_code == httpx.codes.OK else ""
    return Answer(case, began, ended, answer.status_code, version, comparable(answer.content))


def comparable(body: bytes) -> bytes:
    """A body byte for byte, without what is another one each time: the id and the times."""
    return _TIMES.sub(b"", _ID.sub(b"", body))


_ID = re.compile(rb'"analysis_id":"[^"]*",')
_TIMES = re.compile(rb'"timings_ms":\{[^}]*\},')


@dataclass
class Load:
    """`clients` that ask the same `cases` in turn, over and over, until the block ends.

    What a client meets that is neither an answer nor a broken connection is raised at the end of the block.
    """

    url: str
    clients: int
    cases: Sequence[int]
    answers: list[Answer] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor | None = None
    _asking: list[Future[None]] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(self.clients, thread_name_prefix="client")
        self._asking = [self._pool.submit(self._ask_on, number) for number in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown()
        for client in self._asking:
            client.result()

    def _ask_on(self, number: int) -> None:
        turns = itertools.islice(itertools.cycle(self.cases), number, None)
        with httpx.Client(base_url=self.url, timeout=_TIMEOUT_S) as client:
            while not self._stop.is_set():
                try:
                    self.answers.append(ask(client, next(turns)))
                except httpx.HTTPError as error:
                    self.errors[type(error).__name__] += 1


@dataclass(frozen=True, slots=True)
class Swap:
    """Seconds as `Answer`: when the pointer was switched, and when the first answer of the version ended."""

    version: str
    switched: float
    answered: float

    @property
    def seconds(self) -> float:
        return self.answered - self.switched


def swap(load: Load, activate: Callable[[str], object], version: str, *, within_s: float = NOTICED_S) -> Swap:
    """Switch and wait for the first answer of that version. TimeoutError when none comes in time."""
    switched = time.perf_counter()
    activate(version)
    position = 0
    while time.perf_counter() < switched + within_s + _TIMEOUT_S:
        while position < len(load.answers):
            answer = load.answers[position]
            position += 1
            if answer.version == version and answer.began > switched:
                return Swap(version, switched, answer.ended)
        time.sleep(0.02)
    raise TimeoutError(f"no answer of {version} within {within_s + _TIMEOUT_S:.0f} s")


def mixed_versions(answers: Iterable[Answer], expected: Mapping[tuple[str, int], bytes]) -> list[Answer]:
    """Answers that name a version which was never active, or say what that version does not say of that case."""
    return [answer for answer in answers if expected.get((answer.version, answer.case)) != answer.body]


def percentiles_ms(answers: Iterable[Answer], windows: Sequence[tuple[float, float]]) -> dict[str, float]:
    """p50, p90 and p99 of the answers that were under way in one of the windows, and how many there were."""
    times = [1000 * (answer.ended - answer.began) for answer in answers if answer.overlaps(windows)]
    return {"answers": len(times), **percentiles(times)}
