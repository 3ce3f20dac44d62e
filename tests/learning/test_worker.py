"""The worker as a process of its own, with a trainer that is told how to end. On SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.adaptation import LearningRun
from app.errors import StorageError
from app.storage.database import Database, open_database
from app.storage.runs import RunRepository
from tests.learning.worker_world import ROOT, WorkerProcess, give_feedback, is_alive, running, until, write_models
from tests.storage.conftest import fresh_postgresql

pytestmark = pytest.mark.slow


class World:
    """One database with enough feedback to learn from, and workers on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.encoders = write_models(folder / "models")
        self.database: Database = open_database(url)
        self.runs = RunRepository(self.database)

    def worker(self, mode: str, **settings: str) -> WorkerProcess:
        return WorkerProcess(self.folder, self.url, FAKE_TRAINER=mode, **settings)

    def give(self, rows: int = 3) -> None:
        give_feedback(self.database, self.encoders, rows)

    def last(self) -> LearningRun | None:
        return next(iter(self.runs.recent(1)), None)

    def ended(self) -> LearningRun | None:
        run = self.last()
        return run if run is not None and run.finished_at is not None else None

    def held(self) -> LearningRun | None:
        run = self.runs.active()
        return run if run is not None and run.lease_owner is not None else None

    def trainers(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "versions").glob("trainer-*"))]


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        made = World(tmp_path, f"sqlite:///{tmp_path / 'medmodal.db'}")
        yield made
        made.database.close()
        return
    with fresh_postgresql() as url:
        made = World(tmp_path, url)
        yield made
        made.database.close()


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, f"sqlite:///{tmp_path / 'medmodal.db'}")
    yield made
    made.database.close()


def test_two_workers_open_one_run_and_train_it_once_in_low_priority(world: World) -> None:
    world.give()
    first, second = world.worker("reject"), world.worker("reject")
    with running(first, second):
        run = until(world.ended)
        until(lambda: first.events("trainer_ended"))
        time.sleep(0.5)
    assert (run.state, run.trigger, run.attempts) == ("rejected", "automatic", 1)
    assert run.settings["lora_r"] == 8
    assert len(world.runs.recent(10)) == 1, "what the run has seen does not open another one"
    trainer = world.trainers()[0]
    assert trainer["policy"] == os.SCHED_IDLE or trainer["nice"] == 19
    assert trainer["threads"] == "1"
    assert trainer["blocked"] == []


def test_a_trainer_that_dies_is_followed_by_another_until_its_attempts_are_used_up(world: World) -> None:
    world.give()
    worker = world.worker("die", LEARNING_MAX_ATTEMPTS="3")
    with running(worker):
        run = until(world.ended)
        until(lambda: not list((world.folder / "versions").glob(".staging-*")))
    assert (run.state, run.reason, run.attempts) == ("failed", "worker_lost", 3)
    assert len(world.trainers()) == 4, "the last one finds nothing left to try"
    assert [event["status"] for event in worker.events("trainer_ended_early")] == [-signal.SIGKILL] * 3
    assert run.finished_at is not None
    assert run.started_at is not None
    assert (run.finished_at - run.started_at).total_seconds() < 15, "nobody waited for a lease to run out"


def test_sigterm_gives_the_run_back_and_ends_in_time(sqlite_world: World) -> None:
    world = sqlite_world
    world.give()
    worker = world.worker("work")
    with running(worker):
        assert worker.process is not None
        until(world.held)
        started = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(10) == 0
        assert time.monotonic() - started < 5
    run = world.last()
    assert run is not None
    assert (run.state, run.lease_owner, run.reason) == ("queued", None, "stopped")
    assert not is_alive(world.trainers()[0]["pid"])


def test_a_worker_that_is_killed_takes_its_trainer_along_and_the_next_one_goes_on(sqlite_world: World) -> None:
    world = sqlite_world
    world.give()
    killed, next_one = world.worker("work"), world.worker("reject")
    with running(killed):
        assert killed.process is not None
        until(world.held)
        killed.process.kill()
        until(lambda: not is_alive(world.trainers()[0]["pid"]), 5)
    world.runs.release(until(world.held).lease_owner or "")  # as the end of the lease does
    with running(next_one):
        run = until(world.ended)
    assert (run.state, run.attempts) == ("rejected", 2)


def test_nothing_is_opened_below_the_threshold_and_nothing_learnt_where_learning_is_off(sqlite_world: World) -> None:
    world = sqlite_world
    world.give(2)
    quiet, off = world.worker("reject", LEARNING_MIN_FEEDBACK="3"), world.worker("reject", LORA_ENABLED="false")
    with running(quiet, off):
        until(lambda: len(quiet.events("learner_started")) == 2)
        time.sleep(1.0)
        assert world.runs.recent(1) == ()
        world.give(1)
        assert until(world.ended).state == "rejected"


def _takes_rows(world: World) -> bool:
    """Once the worker has made the file and its tables."""
    try:
        world.give()
    except StorageError:
        return False
    return True


def test_a_database_that_goes_and_comes_back_is_waited_for(sqlite_world: World) -> None:
    world = sqlite_world
    world.database.close()
    place = world.folder / "medmodal.db"
    for path in world.folder.glob("medmodal.db*"):
        path.unlink()
    place.mkdir()
    worker = world.worker("reject")
    with running(worker):
        until(lambda: len(worker.events("look_failed")) >= 2)
        beat = worker.heartbeat.stat().st_mtime
        place.rmdir()
        until(lambda: _takes_rows(world))
        assert until(world.ended).state == "rejected"
        until(lambda: worker.heartbeat.stat().st_mtime > beat)
    (waits,) = {tuple(event["next_look_s"] for event in worker.events("look_failed")[:2])}
    assert waits == (0.1, 0.2)


def test_what_is_older_than_the_retention_goes(sqlite_world: World) -> None:
    world = sqlite_world
    world.give(2)
    with world.database.writing() as session:
        session.connection().exec_driver_sql("UPDATE analyses SET created_at = '2020-01-01 00:00:00.000000'")
    worker = world.worker("reject", LORA_ENABLED="false", RETENTION_DAYS="30")
    with running(worker):
        kept = until(lambda: worker.events("retention_kept"))
    assert (kept[0]["days"], kept[0]["analyses"]) == (30, 2)


@pytest.mark.parametrize(
    ("setting", "value", "status", "named"),
    [
        ("DATABASE_URL", "mysql://somewhere/x", 2, "DATABASE_URL"),
        ("FUSION_WEIGHTS_PATH", "/nowhere", 3, "fusion_not_found"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    sqlite_world: World, setting: str, value: str, status: int, named: str
) -> None:
    worker = sqlite_world.worker("reject", **{setting: value})
    with running(worker):
        assert worker.process is not None
        assert worker.process.wait(30) == status
    last = worker.log.read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("medmodal: the learner does not start: ")
    assert named in last


def test_the_worker_is_light() -> None:
    code = "import sys, app.learning.worker; print(sorted({'torch', 'onnxruntime', 'peft'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
