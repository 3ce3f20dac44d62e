from __future__ import annotations

import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from app.errors import ArtifactError
from app.storage.database import Database, open_database
from app.storage.feedback import FeedbackRepository
from tests.storage.samples import give


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(database: Database, name: str) -> object:
    with database.writing() as session:
        return session.scalar(text(f"PRAGMA {name}"))


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 300)]
)
def test_sqlite_is_set_to_keep_what_it_was_given(sqlite_database: Database, name: str, value: object):
    assert pragma(sqlite_database, name) == value


def test_only_the_owner_may_read_what_is_stored(sqlite_database: Database, sqlite_path: Path):
    give(FeedbackRepository(sqlite_database))
    files = sorted(path.name for path in sqlite_path.parent.iterdir())
    assert files == ["medmodal.db", "medmodal.db-shm", "medmodal.db-wal", "medmodal.db.lock"]
    assert {mode(path) for path in sqlite_path.parent.iterdir()} == {0o600}
    assert mode(sqlite_path.parent) == 0o700


def test_every_missing_folder_is_private_and_present_ones_keep_their_mode(tmp_path: Path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    open_database(f"sqlite:///{shared / 'a' / 'b' / 'medmodal.db'}").close()
    assert [mode(shared), mode(shared / "a"), mode(shared / "a" / "b")] == [0o755, 0o700, 0o700]


def test_a_relative_path_is_kept_when_the_working_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with closing(open_database("sqlite:///data/medmodal.db")) as database:
        monkeypatch.chdir("/")
        database.engine.dispose()
        give(FeedbackRepository(database))
    assert (tmp_path / "data" / "medmodal.db").is_file()


@pytest.mark.parametrize("name", ["진료 기록.db", "100%.db", "a?b#c.db", "a&mode=ro.db"])
def test_any_file_name_works(tmp_path: Path, name: str):
    with closing(open_database(f"sqlite:///{tmp_path / name.replace('?', '')}")) as database:
        give(FeedbackRepository(database))
        database.ping()
    assert (tmp_path / name.replace("?", "")).is_file()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data/medmodal.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///data/x.db?mode=ro",
        "sqlite://host/x.db",
        "mysql://user:hunter2@host/name",
        "postgresql+asyncpg://user:hunter2@host/name",
        "postgresql://user:hunter2@host",
    ],
)
def test_a_url_that_is_not_served_is_refused_without_showing_it(url: str):
    with pytest.raises(ArtifactError, match="database_url_invalid") as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_postgresql_scheme_works(postgresql_url: str, scheme: str):
    with closing(open_database(scheme + postgresql_url.removeprefix("postgresql+psycopg"))) as database:
        give(FeedbackRepository(database))


def test_postgresql_commits_are_flushed_whatever_the_servers_default(postgresql_url: str):
    with closing(open_database(postgresql_url)) as database:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET synchronous_commit = off', current_database());"
                " END $$"
            )
        database.engine.dispose()
        with database.writing() as session:
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
            assert session.scalar(text("SHOW lock_timeout")) == "4s"


def test_readers_see_one_view_and_do_not_wait_for_a_writer(database: Database):
    repository = FeedbackRepository(database)
    counted = text("SELECT count(*) FROM feedback")
    with database.writing() as writer:
        writer.execute(text("DELETE FROM feedback"))
        with database.reading() as reader:
            assert reader.scalar(counted) == 0
            database.ping()
    give(repository)
    with database.reading() as reader:
        assert reader.scalar(counted) == 1


def test_a_block_that_raises_leaves_nothing(database: Database):
    def forget_and_fail() -> None:
        with database.writing() as session:
            session.execute(text("DELETE FROM alembic_version"))
            raise KeyError

    with pytest.raises(KeyError):
        forget_and_fail()
    database.ping()


def test_writers_on_many_threads_all_get_through(database: Database):
    repository = FeedbackRepository(database)
    threads = [threading.Thread(target=lambda: [give(repository) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM feedback")) == 80
