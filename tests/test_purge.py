"""`python -m app.purge`: what it removes, what it says, and what it refuses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import func, select

from app.domain import Feedback
from app.purge import main
from app.storage.analyses import AnalysisRepository
from app.storage.audit import AuditLog
from app.storage.database import Database, open_database
from app.storage.feedback import FeedbackRepository
from app.storage.feedback_queue import FeedbackQueue
from app.storage.runs import RunRepository
from app.storage.schema import AnalysisRow
from tests.storage.learning_samples import CANDIDATE, PARENT, claimed, ended, use, verdict
from tests.storage.samples import QUOTE, analysis, evidence, give

ROOT = Path(__file__).parents[1]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The one that the settings name."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/rows.db")
    opened = open_database(f"sqlite:///{tmp_path}/rows.db")
    yield opened
    opened.close()
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def store(database: Database, *, days_ago: float = 0) -> str:
    case = replace(analysis(), created_at=datetime.now(UTC) - timedelta(days=days_ago))
    AnalysisRepository(database).add(case, evidence(), text=QUOTE)
    give(FeedbackRepository(database), Feedback(is_correct=True, analysis_id=case.analysis_id))
    return case.analysis_id


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(AnalysisRow)) or 0


def test_one_analysis_goes_and_the_operator_is_noted(database: Database, capsys: pytest.CaptureFixture[str]):
    gone, _kept = store(database), store(database)
    assert main(["--analysis", gone]) == 0
    printed = capsys.readouterr()
    assert printed.out == "removed 1 analyses, 4 embeddings, 1 feedback\nno version had learnt from them\n"
    assert printed.err == ""
    assert count(database) == 1
    (entry,) = AuditLog(database).entries()
    assert (entry.actor, entry.action) == ("operator", "data.purged")


def test_what_had_learnt_from_it_is_said(database: Database, capsys: pytest.CaptureFixture[str]):
    runs = RunRepository(database)
    verdict(database)
    (row,) = FeedbackQueue(database).waiting()
    ended(runs, [use(row.feedback_id)], candidate=CANDIDATE)
    ended(runs, [use(verdict(database))], parent=CANDIDATE, candidate="2" * 12)
    run = claimed(runs)
    runs.select(run.run_id, "w1", PARENT, [use(row.feedback_id, "held_out")], {})
    assert main(["--analysis", str(row.analysis_id)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"versions that had learnt from them: {CANDIDATE}",
        f"versions made from those or after them: {'2' * 12}",
        f"training runs stopped, for they used them: {run.run_id}",
    ]


def test_what_is_old_goes(database: Database, capsys: pytest.CaptureFixture[str]):
    store(database, days_ago=31)
    store(database, days_ago=40)
    store(database, days_ago=29)
    assert main(["--older-than-days", "30", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["analyses"], told["embeddings"], told["feedback"], told["versions"]) == (2, 8, 2, [])
    assert [len(purge["analysis_sha256"]) for purge in told["purges"]] == [64, 64]
    assert count(database) == 1


def test_what_retention_has_let_go_goes(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    store(database, days_ago=31)
    store(database, days_ago=29)
    monkeypatch.setenv("RETENTION_DAYS", "30")
    assert main(["--expired"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 analyses")
    assert count(database) == 1


def test_without_retention_nothing_expires(database: Database, capsys: pytest.CaptureFixture[str]):
    store(database, days_ago=1000)
    assert main(["--expired"]) == 2
    assert "RETENTION_DAYS is 0" in capsys.readouterr().err
    assert count(database) == 1


def test_an_unknown_analysis_is_said_so(database: Database, capsys: pytest.CaptureFixture[str]):
    store(database)
    assert main(["--analysis", "an_unknown"]) == 1
    assert capsys.readouterr().err == "medmodal: analysis_not_found\n"
    assert count(database) == 1


def test_what_a_reader_keeps_on_the_disk_is_said_and_gone_the_next_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("app.storage.purging._WIPE_WAIT_S", 0.0)
    gone = store(database)
    with database.reading() as session:
        session.scalar(select(func.count()).select_from(AnalysisRow))
        assert main(["--analysis", gone]) == 1
        assert main(["--analysis", gone]) == 1
    assert capsys.readouterr().err.count("write-ahead log still holds") == 2
    assert QUOTE.encode() in (tmp_path / "rows.db-wal").read_bytes()
    assert main(["--analysis", gone]) == 1
    assert capsys.readouterr().err == "medmodal: analysis_not_found\n"
    assert not any(QUOTE.encode() in path.read_bytes() for path in tmp_path.glob("rows.db*"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--older-than-days", "0"],
        ["--older-than-days", "-1"],
        ["--older-than-days", "1.5"],
        ["--older-than-days", "٣"],
        ["--older-than-days", "99999999999"],
        ["--analysis", "an_1", "--expired"],
    ],
)
def test_what_cannot_be_meant_removes_nothing(
    arguments: list[str], database: Database, capsys: pytest.CaptureFixture[str]
):
    store(database, days_ago=1000)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage:" in capsys.readouterr().err
    assert count(database) == 1


def test_a_database_that_is_not_there_is_not_made(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/mistyped.db")
    assert main(["--analysis", "an_1"]) == 1
    assert "database_not_found" in capsys.readouterr().err
    assert not (tmp_path / "mistyped.db").exists()


def test_a_bad_setting_is_one_line(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RETENTION_DAYS", "soon")
    assert main(["--expired"]) == 2
    assert capsys.readouterr().err.startswith("medmodal: bad setting RETENTION_DAYS")


def test_it_is_a_command(database: Database, tmp_path: Path):
    gone = store(database)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "app.purge", "--analysis", gone, "--json"],
        cwd=tmp_path,
        env={"DATABASE_URL": f"sqlite:///{tmp_path}/rows.db", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["analyses"] == 1
    assert count(database) == 0
