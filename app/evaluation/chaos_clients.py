"""Clients that have cases analysed and give their verdict, while what answers them is being killed.

A verdict whose answer was lost is sent again with its Idempotency-Key until it is answered: so each must be stored
exactly once, however often the service died in between.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.evaluation.quality import request_body
from app.training.samples import Sample

_PAUSE_S = 0.5
"""Between two cases of one client, so that training gets some of the processor, too."""
_AGAIN_S = 0.1
_TIMEOUT_S = 60.0
ANALYZE, FEEDBACK = "/api/v1/analyze", "/api/v1/feedback"


@dataclass
class Given:
    """What the service said it had stored. Shared by the clients."""

    feedback: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    """Idempotency-Key -> (body, feedback_id)."""
    replays: int = 0
    """Answers that said that the row was there already."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Route and status, or kind of broken connection -> how many."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One after the other: a case, and what it really is."""

    def __init__(self, url: str, number: int, cases: Iterator[Sample], given: Given, stopping: threading.Event) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)
        self._number = number
        self._cases = cases
        self._given = given
        self._stopping = stopping

    def run(self) -> None:
        """Until it is told to stop; a verdict under way is brought to its end."""
        with self._http:
            for turn, case in enumerate(self._cases):
                if self._stopping.wait(_PAUSE_S):
                    return
                answer = self._insist(ANALYZE, request_body(case), {}, httpx.codes.OK)
                if answer is not None and not _is_lost(answer.json()):
                    self._give(f"client-{self._number}-{turn}", case, answer.json())

    def _give(self, key: str, case: Sample, answer: dict[str, Any]) -> None:
        body = verdict(case, answer)
        response = self._insist(FEEDBACK, body, {"Idempotency-Key": key}, httpx.codes.CREATED, to_the_end=True)
        if response is None:
            return
        with self._given.lock:
            self._given.feedback[key] = (body, response.json()["feedback_id"])
            self._given.replays += response.headers.get("idempotency-replayed") == "true"

    def _insist(
        self, route: str, body: dict[str, Any], headers: dict[str, str], expected: int, *, to_the_end: bool = False
    ) -> httpx.Response | None:
        """Again and again until it is answered as expected; None where it is time to stop."""
        while to_the_end or not self._stopping.is_set():
            try:
                response = self._http.post(route, json=body, headers=headers)
            except httpx.TransportError as error:
                self._count(f"{route} {type(error).__name__}")
            else:
                self._count(f"{route} {response.status_code}")
                if response.status_code == expected:
                    return response
                if response.status_code < 500 and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    raise RuntimeError(f"{route}: status {response.status_code}")
            time.sleep(_AGAIN_S)
        return None

    def _count(self, what: str) -> None:
        with self._given.lock:
            self._given.statuses[what] += 1


class Clients:
    """`cases` are shared out among `count` clients, each with a thread of its own."""

    def __init__(self, url: str, cases: Sequence[Sample], count: int) -> None:
        self.given = Given()
        self._stopping = threading.Event()
        self._failures: list[Exception] = []
        clients = [Client(url, n, _endless(cases[n::count]), self.given, self._stopping) for n in range(count)]
        self._threads = [threading.Thread(target=self._run, args=(client,), daemon=True) for client in clients]

    def _run(self, client: Client) -> None:
        try:
            client.run()
        except Exception as error:  # noqa: BLE001 - told by `check`, on the thread that waits
            self._failures.append(error)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when every verdict under way was answered. RuntimeError where one was refused."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.check()

    def check(self) -> None:
        """RuntimeError where a client met what no kill explains."""
        if self._failures:
            raise RuntimeError(f"a client failed: {self._failures[0]}") from self._failures[0]


def verdict(case: Sample, answer: dict[str, Any]) -> dict[str, Any]:
    """The true condition, as confirmation or as correction."""
    said: dict[str, Any] = {"analysis_id": answer["analysis_id"]}
    first = answer["differential"][0]["condition_id"] if answer["status"] == "ok" else None
    if first == case.condition_id:
        return {**said, "is_correct": True}
    return {**said, "is_correct": False, "corrected_diagnosis": case.condition_id}


def _is_lost(answer: dict[str, Any]) -> bool:
    """Whether it was answered without being stored, which it says."""
    return "not_stored" in {warning["code"] for warning in answer["metadata"]["warnings"]}


def _endless(cases: Sequence[Sample]) -> Iterator[Sample]:
    while True:
        yield from cases
