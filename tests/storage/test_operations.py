"""The commands that docs/OPERATIONS.md gives to operators do what it says."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.domain import Feedback
from app.errors import NotFoundError
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database, open_database
from app.storage.feedback import FeedbackRepository
from app.storage.schema import EmbeddingRow, FeedbackRow
from tests.storage.samples import QUOTE, analysis, evidence, give

DOCUMENT = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"


def run_command(name: str, *arguments: object) -> str:
    (program,) = re.findall(rf"<<'{name}'\n(.*?)\n{name}\n", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-", *map(str, arguments)],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_of_a_database_in_use_is_whole(sqlite_database: Database, sqlite_path: Path, tmp_path: Path):
    repository, stopping = AnalysisRepository(sqlite_database), threading.Event()

    def keep_writing() -> None:
        while not stopping.is_set():
            repository.add(analysis(), evidence(), text=None)

    before = analysis()
    repository.add(before, evidence(), text=None)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        printed = run_command("BACKUP", sqlite_path, tmp_path / "backup.db")
    finally:
        stopping.set()
        writer.join()
    assert printed.startswith("integrity: ok\n")
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
    with closing(open_database(f"sqlite:///{tmp_path / 'backup.db'}")) as restored:
        assert len(AnalysisRepository(restored).evidence(before.analysis_id).embeddings) == 4


def store(database: Database, *, days_ago: int) -> str:
    case = replace(analysis(), created_at=datetime.now(UTC) - timedelta(days=days_ago))
    AnalysisRepository(database).add(case, evidence(), text=QUOTE)
    give(FeedbackRepository(database), Feedback(is_correct=True, analysis_id=case.analysis_id))
    return case.analysis_id


@pytest.mark.parametrize("by_id", [False, True])
def test_a_purge_removes_what_was_chosen_and_nothing_else(sqlite_database: Database, sqlite_path: Path, by_id: bool):
    old, recent = store(sqlite_database, days_ago=366), store(sqlite_database, days_ago=364)
    sqlite_database.close()
    assert run_command("PURGE", sqlite_path, old if by_id else 365) == "removed 1 analyses, 1 feedback\n"
    repository = AnalysisRepository(sqlite_database)
    with pytest.raises(NotFoundError):
        repository.evidence(old)
    assert len(repository.evidence(recent).embeddings) == 4
    with sqlite_database.reading() as session:
        assert set(session.scalars(select(EmbeddingRow.analysis_id))) == {recent}
        assert set(session.scalars(select(FeedbackRow.analysis_id))) == {recent}


def test_no_word_is_left_in_the_files_after_a_purge(sqlite_database: Database, sqlite_path: Path):
    written = store(sqlite_database, days_ago=0)
    sqlite_database.close()
    assert QUOTE.encode() in sqlite_path.read_bytes()
    run_command("PURGE", sqlite_path, written)
    assert not any(QUOTE.encode() in path.read_bytes() for path in sqlite_path.parent.iterdir())
