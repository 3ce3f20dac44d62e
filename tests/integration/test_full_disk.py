"""Database, versions and cache on a disk without room: cases are answered, verdicts refused, and on it goes later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, text

from app.evaluation.chaos_cases import phrasebook_cases, reduced_learning_sets
from app.evaluation.chaos_clients import ANALYZE, FEEDBACK, verdict
from app.evaluation.chaos_site import Site
from app.evaluation.chaos_trainer import chaos_learner
from app.evaluation.quality import request_body
from app.settings import Settings
from app.storage.schema import AnalysisRow, EmbeddingRow, FeedbackRow
from tests.small_disk import mounted

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

CASES = phrasebook_cases()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """40 MB: room for a version or two."""
    with mounted(tmp_path / "small", "40m") as folder:
        yield folder


@contextmanager
def no_room(disk: Path) -> Iterator[None]:
    """Everything that is free is taken, again and again, as SQLite and the cache give some back."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as handle:
        for size in (1 << 20, 1 << 12, 1):
            while True:
                try:
                    handle.write(bytes(size))
                except OSError:
                    break
    assert os.statvfs(disk).f_bavail == 0
    yield
    ballast.unlink()


def rows(site: Site) -> list[int]:
    with site.database.reading() as session:
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
        return [
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (AnalysisRow, EmbeddingRow, FeedbackRow)
        ]


def until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.05)


def analysed(http: httpx.Client, number: int) -> httpx.Response:
    response = http.post(ANALYZE, json=request_body(CASES[number]))
    assert response.status_code == httpx.codes.OK, response.text
    return response


def is_stored(response: httpx.Response) -> bool:
    return "not_stored" not in {warning["code"] for warning in response.json()["metadata"]["warnings"]}


def give(http: httpx.Client, numbers: range) -> int:
    """How many verdicts were stored."""
    for number in numbers:
        answer = analysed(http, number)
        assert is_stored(answer)
        given = http.post(FEEDBACK, json=verdict(CASES[number], answer.json()))
        assert given.status_code == httpx.codes.CREATED, given.text
    return len(numbers)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("embedded_pair")
def test_a_full_disk_stops_nothing_for_good(small_disk: Path, tmp_path: Path) -> None:
    settings = {
        "LEARNING_MIN_FEEDBACK": "10",
        "LEARNING_POLL_S": "0.2",
        "LEARNING_LEASE_S": "2",
        "LEARNING_DATA_PATH": str(tmp_path / "learning"),
    }
    reduced_learning_sets(Settings(_env_file=None), tmp_path / "learning", 40)
    with Site(small_disk, settings, chaos_learner(30), logs=tmp_path) as site, httpx.Client(base_url=site.url) as http:
        http.timeout = httpx.Timeout(60.0)
        site.start()
        site.wait_ready()
        stored = give(http, range(3))
        before = rows(site)
        with no_room(small_disk):
            case = analysed(http, 3)
            assert not is_stored(case)
            assert case.json()["differential"]
            for again in range(2):
                refused = http.post(FEEDBACK, json=told(again))
                assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        assert rows(site) == before
        stored += give(http, range(4, 12))
        until(lambda: (run := site.runs.active()) is not None and run.lease_owner is not None)
        with no_room(small_disk):
            until(lambda: "storage_full" in (tmp_path / "learner.log").read_text(encoding="utf-8"))
            assert analysed(http, 12).json()["differential"]
            assert site.pointer_version() == site.registry.base_version
            time.sleep(5.0)
        until(lambda: site.runs.active() is None)
        assert site.runs.recent(1)[0].state == "promoted"
        until(lambda: site.learning()["serving_version"] == site.pointer_version())
        assert site.pointer_version() != site.registry.base_version
        assert rows(site)[2] == stored
        site.learner.stop()
        site.service.stop()
        verified = site.command("-m", "app.verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


def told(number: int) -> dict[str, object]:
    """A verdict that is long enough to need a page of its own."""
    return {"query": "q", "prediction": "p", "is_correct": True, "comments": f"{number} " + "x" * 9000}
