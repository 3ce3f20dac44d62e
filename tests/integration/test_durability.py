"""kill -9 at random moments: whatever was answered with 2xx is in the database when the service comes back."""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.evaluation.speed import text_case
from tests.integration.process import ServiceProcess
from tests.integration.requests import ANALYZE, FEEDBACK

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

ROUNDS = 4
CLIENTS = 3


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


def write_and_kill(service: ServiceProcess, answered: Answered, seconds: float) -> None:
    stop = threading.Event()
    writer = Writer(service.url, answered)
    threads = [threading.Thread(target=writer.run_until, args=(stop,)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    service.kill()
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("embedded_pair")
def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    moments = random.Random(20)
    answered = Answered()
    with ServiceProcess(tmp_path) as service:
        for _ in range(ROUNDS):
            service.start()
            write_and_kill(service, answered, moments.uniform(0.4, 1.2))
        service.start()
        analyses, feedback = stored(service.database)
        print(f"\n{ROUNDS} kills: {len(answered.analyses)} analyses, {len(answered.feedback)} feedback answered")
        assert len(answered.analyses) >= ROUNDS
        assert len(answered.feedback) >= ROUNDS
        assert set(answered.analyses) <= analyses
        assert {feedback_id for _, feedback_id in answered.feedback.values()} <= feedback
        assert len(analyses - set(answered.analyses)) <= ROUNDS * CLIENTS, "only what was under way came on top"
        keys_replay(service, answered)
        assert len(stored(service.database)[1]) == len(answered.feedback) + len(answered.unanswered)


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
