"""A database that cannot take a row: a stable code, no half row, no value in the error, and on it goes afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, func, make_url, select, text
from sqlalchemy.exc import StatementError
from structlog.testing import capture_logs

from app.domain import Feedback
from app.errors import StorageError
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database, open_database
from app.storage.feedback import FeedbackRepository
from app.storage.locking import WriteLock
from app.storage.schema import AnalysisRow, EmbeddingRow, FeedbackRow
from tests.small_disk import mounted
from tests.storage.samples import analysis, evidence, give

LONG = Feedback(is_correct=False, query="q", prediction="p", comments="x" * 30_000)
SECRET = "주민등록번호"


def counts(database: Database) -> list[int]:
    with database.reading() as session:
        return [
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (AnalysisRow, EmbeddingRow, FeedbackRow)
        ]


def fill(database: Database) -> tuple[int, str]:
    """Feedback until there is no room: how many rows were taken, and the code of the refusal."""
    repository = FeedbackRepository(database)
    for taken in range(2000):
        try:
            give(repository, LONG)
        except StorageError as error:
            return taken, error.code
    pytest.fail("the disk never filled up")


@contextmanager
def pages(database: Database, extra: int) -> Iterator[None]:
    """No room for more than `extra` further pages: what SQLite answers is what it answers on a full disk."""
    with database.writing() as session:
        limit = int(session.scalar(text("PRAGMA page_count")) or 0) + extra

    def bound(connection: sqlite3.Connection, _entry: object) -> None:
        connection.execute(f"PRAGMA max_page_count={limit}")

    event.listen(database.engine, "connect", bound)
    database.engine.dispose()
    yield
    event.remove(database.engine, "connect", bound)
    database.engine.dispose()


def test_a_full_database_says_so_and_goes_on_when_there_is_room_again(sqlite_database: Database):
    with pages(sqlite_database, extra=64):
        taken, code = fill(sqlite_database)
        assert 0 < taken < 64
        assert code == "storage_full"
        assert counts(sqlite_database) == [0, 0, taken]
        sqlite_database.ping()
    give(FeedbackRepository(sqlite_database), LONG)
    assert counts(sqlite_database) == [0, 0, taken + 1]


def test_an_analysis_that_does_not_fit_leaves_none_of_its_parts(sqlite_database: Database):
    repository = AnalysisRepository(sqlite_database)
    with pages(sqlite_database, extra=12):
        with pytest.raises(StorageError, match="storage_full"):
            repository.add(analysis(), evidence(images=300), text=None)
        assert counts(sqlite_database) == [0, 0, 0]
        repository.add(analysis(), evidence(), text=None)
    assert counts(sqlite_database) == [1, 4, 0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", "1m") as folder:
        yield folder


def test_a_full_disk_says_so_and_goes_on_when_there_is_room_again(small_disk: Path):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    with closing(open_database(f"sqlite:///{small_disk / 'medmodal.db'}")) as database:
        taken, code = fill(database)
        assert taken > 0
        assert code == "storage_full"
        with pytest.raises(StorageError, match="storage_full"):
            AnalysisRepository(database).add(analysis(), evidence(images=100), text=None)
        assert counts(database) == [0, 0, taken]
        ballast.unlink()
        give(FeedbackRepository(database), LONG)
        assert counts(database) == [0, 0, taken + 1]
        with database.reading() as session:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"


def test_a_disk_that_is_full_from_the_start_is_said_so(small_disk: Path):
    try:
        (small_disk / "ballast").write_bytes(bytes(2_000_000))
    except OSError:
        assert (small_disk / "ballast").stat().st_size > 900_000
    with pytest.raises(StorageError, match="storage_full"):
        open_database(f"sqlite:///{small_disk / 'data' / 'medmodal.db'}")


def test_a_file_system_that_turns_read_only_is_unavailable(small_disk: Path):
    with closing(open_database(f"sqlite:///{small_disk / 'medmodal.db'}")) as database:
        give(FeedbackRepository(database))
        database.engine.dispose()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with pytest.raises(StorageError, match="storage_unavailable"):
            give(FeedbackRepository(database))


def test_a_database_that_someone_else_holds_is_locked(sqlite_database: Database, sqlite_path: Path):
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="storage_locked"):
            give(FeedbackRepository(sqlite_database))
        other.execute("ROLLBACK")
    give(FeedbackRepository(sqlite_database))
    assert counts(sqlite_database) == [0, 0, 1]


def test_a_writer_that_keeps_the_write_lock_is_waited_for_a_while_only(sqlite_database: Database, sqlite_path: Path):
    with WriteLock(sqlite_path.with_name("medmodal.db.lock"), 0.0).held():
        with pytest.raises(StorageError, match="storage_locked"):
            give(FeedbackRepository(sqlite_database))
        sqlite_database.ping()
    give(FeedbackRepository(sqlite_database))


def test_a_table_that_someone_else_holds_is_locked(postgresql_url: str):
    other = create_engine(postgresql_url)
    with closing(open_database(postgresql_url, busy_timeout_s=0.2)) as database:
        with other.begin() as holder:
            holder.exec_driver_sql("LOCK TABLE feedback")
            with pytest.raises(StorageError, match="storage_locked"):
                give(FeedbackRepository(database))
        give(FeedbackRepository(database))
        assert counts(database) == [0, 0, 1]
    other.dispose()


def test_connections_that_the_server_dropped_are_replaced(postgresql_url: str):
    other = create_engine(postgresql_url)
    with closing(open_database(postgresql_url)) as database:
        give(FeedbackRepository(database))
        with other.begin() as admin:
            admin.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        give(FeedbackRepository(database))
        assert counts(database) == [0, 0, 2]
    other.dispose()


def test_a_server_that_is_not_there_is_unavailable_and_the_log_says_where_it_was_sought():
    with capture_logs() as logged, pytest.raises(StorageError, match="storage_unavailable") as caught:
        open_database("postgresql://someone:hunter2@127.0.0.1:1/name")
    (line,) = logged
    assert (line["event"], line["code"]) == ("storage_failed", "storage_unavailable")
    assert '"127.0.0.1", port 1' in line["detail"]
    assert "hunter2" not in f"{caught.value} {line}"


def test_a_database_that_the_server_does_not_have_is_named_in_the_log(postgresql_url: str):
    missing = make_url(postgresql_url).set(database="medmodal_missing").render_as_string(hide_password=False)
    with capture_logs() as logged, pytest.raises(StorageError, match="storage_unavailable"):
        open_database(missing)
    assert "medmodal_missing" in logged[0]["detail"]


def test_a_file_that_is_no_database_is_unavailable(sqlite_path: Path):
    sqlite_path.parent.mkdir()
    sqlite_path.write_bytes(b"patients, in a spreadsheet\n" * 500)
    with pytest.raises(StorageError, match="storage_unavailable"):
        open_database(f"sqlite:///{sqlite_path}")
    assert sqlite_path.read_bytes().startswith(b"patients")


def test_a_damaged_file_is_unavailable(sqlite_database: Database, sqlite_path: Path):
    for _ in range(5):
        give(FeedbackRepository(sqlite_database), LONG)
    sqlite_database.close()
    content = bytearray(sqlite_path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    sqlite_path.write_bytes(content)
    with pytest.raises(StorageError, match="storage_unavailable"):
        give(FeedbackRepository(sqlite_database))
    with pytest.raises(StorageError, match="storage_unavailable"):
        sqlite_database.ping()


def test_rows_are_not_written_to_a_file_that_was_deleted(sqlite_database: Database, sqlite_path: Path):
    give(FeedbackRepository(sqlite_database))
    for file in sqlite_path.parent.iterdir():
        file.unlink()
    with pytest.raises(StorageError, match="storage_unavailable"):
        give(FeedbackRepository(sqlite_database))
    with pytest.raises(StorageError, match="storage_unavailable"):
        sqlite_database.ping()
    assert not sqlite_path.exists()


def test_a_file_that_was_replaced_is_opened_anew(sqlite_database: Database, sqlite_path: Path, tmp_path: Path):
    give(FeedbackRepository(sqlite_database))
    with closing(open_database(f"sqlite:///{tmp_path / 'backup.db'}")) as backup:
        give(FeedbackRepository(backup))
        give(FeedbackRepository(backup))
    for file in sqlite_path.parent.glob("medmodal.db-*"):
        file.unlink()
    (tmp_path / "backup.db").rename(sqlite_path)
    give(FeedbackRepository(sqlite_database))
    assert counts(sqlite_database) == [0, 0, 3]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path):
    (tmp_path / "data").write_bytes(b"a file where a folder is wanted")
    with pytest.raises(StorageError, match="storage_unavailable"):
        open_database(f"sqlite:///{tmp_path / 'data' / 'medmodal.db'}")


def test_a_read_only_connection_is_unavailable(sqlite_database: Database):
    event.listen(sqlite_database.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    sqlite_database.engine.dispose()
    with pytest.raises(StorageError, match="storage_unavailable") as caught:
        give(FeedbackRepository(sqlite_database))
    assert caught.value.params["reason"] == "SQLITE_READONLY"


def test_no_error_repeats_what_was_to_be_stored(database: Database):
    with database.writing() as session:
        session.execute(text("DROP TABLE run_feedback"))  # refers to the other
        session.execute(text("DROP TABLE feedback"))
    with capture_logs() as logged, pytest.raises(StorageError) as caught:
        give(FeedbackRepository(database), Feedback(is_correct=True, query=SECRET, prediction="p"))
    chain, error = [repr(logged)], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__
    assert len(chain) >= 3
    assert SECRET not in "".join(chain)


def test_a_number_that_is_no_json_is_a_mistake_and_not_stored(database: Database):
    case = analysis()
    case.attribution["omni/text"] = float("nan")
    with pytest.raises((StatementError, ValueError), match="JSON"):
        AnalysisRepository(database).add(case, evidence(), text=None)
    assert counts(database) == [0, 0, 0]
