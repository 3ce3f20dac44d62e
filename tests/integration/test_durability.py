"""kill -9 at random moments: whatever was answered with 2xx is in the database when the service comes back.

Two processes share the database and the cache, so that a kill also hits while another one writes.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.evaluation.speed import text_case
from tests.integration.process import ServiceProcess
from tests.integration.requests import ANALYZE, FEEDBACK

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

ROUNDS = 2
PROCESSES = 2
CLIENTS = 2
"""Of each process."""
KILLS = ROUNDS * PROCESSES


@dataclass
class Answered:
    """What the service said it had stored."""

    analyses: list[str] = field(default_factory=list)
    feedback: dict[str, tuple[dict[str, object], str]] = field(default_factory=dict)
    """Idempotency-Key -> (body, feedback_id)."""
    unanswered: dict[str, dict[str, object]] = field(default_factory=dict)
    """Sent, and cut off by the kill."""


class Writer:
    """Clients that ask and give their verdict in turn, until the service is gone."""

    def __init__(self, url: str, answered: Answered) -> None:
        self._url = url
        self._answered = answered
        self._numbers = itertools.count(1)

    def run_until(self, stop: threading.Event) -> None:
        with httpx.Client(base_url=self._url, timeout=30.0) as http:
            while not stop.is_set():
                try:
                    self._turn(http)
                except httpx.TransportError:
                    return

    def _turn(self, http: httpx.Client) -> None:
        response = http.post(ANALYZE, json=text_case(next(self._numbers)))
        assert response.status_code == httpx.codes.OK, response.text
        answer = response.json()
        assert "not_stored" not in [warning["code"] for warning in answer["metadata"]["warnings"]]
        self._answered.analyses.append(answer["analysis_id"])
        key = f"key-{answer['analysis_id']}"
        body: dict[str, object] = {"analysis_id": answer["analysis_id"], "is_correct": True, "comments": f"about {key}"}
        self._answered.unanswered[key] = body
        given = http.post(FEEDBACK, json=body, headers={"Idempotency-Key": key})
        assert given.status_code == httpx.codes.CREATED, given.text
        self._answered.feedback[key] = (body, given.json()["feedback_id"])
        del self._answered.unanswered[key]


def stored(database: Path) -> tuple[set[str], set[str]]:
    """(analysis ids, feedback ids), read beside the running service."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        analyses = {row[0] for row in connection.execute("SELECT id FROM analyses")}
        return analyses, {row[0] for row in connection.execute("SELECT id FROM feedback")}


def write_and_kill(services: list[ServiceProcess], answered: Answered, moments: random.Random) -> None:
    """Clients write at each service until it is killed; one goes on while the other is dead already."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=Writer(service.url, answered).run_until, args=(stop,))
        for service in services
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for service in moments.sample(services, len(services)):
        time.sleep(moments.uniform(0.3, 1.0))
        service.kill()
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("embedded_pair")
def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    answered, moments = Answered(), random.Random(20)
    database = tmp_path / "shared.db"
    shared = {"DATABASE_URL": f"sqlite:///{database}", "CACHE_DIR": str(tmp_path / "cache")}
    with ExitStack() as stack:
        folders = [tmp_path / str(number) for number in range(PROCESSES)]
        for folder in folders:
            folder.mkdir()
        services = [stack.enter_context(ServiceProcess(folder, **shared)) for folder in folders]
        for _ in range(ROUNDS):
            for service in services:
                service.launch()
            for service in services:
                service.wait_ready()
            write_and_kill(services, answered, moments)
        service = services[0].start()
        analyses, feedback = stored(database)
        print(f"\n{KILLS} kills: {len(answered.analyses)} analyses, {len(answered.feedback)} feedback answered")
        assert len(answered.analyses) >= KILLS
        assert len(answered.feedback) >= KILLS
        assert set(answered.analyses) <= analyses
        assert {feedback_id for _, feedback_id in answered.feedback.values()} <= feedback
        assert len(analyses - set(answered.analyses)) <= KILLS * CLIENTS, "only what was under way came on top"
        keys_replay(service, answered)
        assert len(stored(database)[1]) == len(answered.feedback) + len(answered.unanswered)


def keys_replay(service: ServiceProcess, answered: Answered) -> None:
    """The same request gives the same row after a crash; one whose answer was lost is stored once, now or before."""
    with httpx.Client(base_url=service.url, timeout=30.0) as http:
        for key, (body, feedback_id) in answered.feedback.items():
            again = http.post(FEEDBACK, json=body, headers={"Idempotency-Key": key})
            assert (again.status_code, again.json()["feedback_id"]) == (201, feedback_id)
            assert again.headers["idempotency-replayed"] == "true"
        for key, body in answered.unanswered.items():
            ids = {
                http.post(FEEDBACK, json=body, headers={"Idempotency-Key": key}).json()["feedback_id"] for _ in range(2)
            }
            assert len(ids) == 1
        key, (body, _) = next(iter(answered.feedback.items()))
        other = http.post(FEEDBACK, json={**body, "is_correct": False}, headers={"Idempotency-Key": key})
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
