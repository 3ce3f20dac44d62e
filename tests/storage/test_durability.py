"""What `add` returned for is there after kill -9, whole, and nothing is there by halves."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from app.storage.database import Database, open_database
from app.storage.schema import AnalysisRow, EmbeddingRow, FeedbackRow

ROOT = Path(__file__).parents[2]
EMBEDDINGS = 4


def acknowledged(url: str, mode: str, rounds: int) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.storage.crash_writer", url, mode, str(rounds), "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def stored(database: Database) -> set[str]:
    with database.reading() as session:
        return {*session.scalars(select(AnalysisRow.id)), *session.scalars(select(FeedbackRow.id))}


def embeddings_by_analysis(database: Database) -> list[int]:
    counted = select(func.count(EmbeddingRow.ordinal)).select_from(AnalysisRow).outerjoin(EmbeddingRow)
    with database.reading() as session:
        return list(session.scalars(counted.group_by(AnalysisRow.id)))


@pytest.mark.parametrize(("mode", "rounds"), [("after", 30), ("during", 20)])
def test_acknowledged_rows_survive_sigkill(database_url: str, mode: str, rounds: int):
    written = acknowledged(database_url, mode, rounds)
    with closing(open_database(database_url)) as database:
        found, embeddings = stored(database), embeddings_by_analysis(database)
    assert len(written) >= rounds
    assert written <= found
    assert len(found - written) <= rounds  # at most the one row under way when each writer was killed
    assert set(embeddings) == {EMBEDDINGS}


def test_the_file_is_sound_after_many_kills(sqlite_path: Path):
    url = f"sqlite:///{sqlite_path}"
    acknowledged(url, "during", 20)
    with closing(open_database(url)) as database, database.reading() as session:
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
