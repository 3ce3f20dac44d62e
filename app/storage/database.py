"""An open, migrated database: sessions for its repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.errors import ArtifactError
from app.storage.engines import BEGIN_MODE, empty_wal, enable_wal, postgresql_engine, sqlite_engine
from app.storage.failures import storage_failure
from app.storage.location import create_private_file, parse_url
from app.storage.locking import WriteLock
from app.storage.migrating import upgrade

BUSY_TIMEOUT_S = 4.0
"""How long a writer waits for another one. Below the time that the analysis service allows for storing (5 s)."""
MIGRATION_WAIT_S = 60.0
"""How long a starting process waits for another one that migrates."""

Hold = Callable[[], AbstractContextManager[None]]


class Database:
    """Thread-safe. Whatever its sessions raise of the driver's arrives as StorageError."""

    def __init__(self, engine: Engine, hold_write_lock: Hold) -> None:
        self.engine = engine
        self._hold_write_lock = hold_write_lock
        self._writers = sessionmaker(engine, expire_on_commit=False)
        reading = engine.execution_options(**{BEGIN_MODE: "DEFERRED", "postgresql_readonly": True})
        self._readers = sessionmaker(reading, expire_on_commit=False)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction, on disk when the block has ended; all of it or nothing. StorageError."""
        with _translated(), self._hold_write_lock(), self._writers.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view, while writers go on. StorageError."""
        with _translated(), self._readers.begin() as session:
            yield session

    def ping(self) -> None:
        """StorageError when the database does not answer, or is not ours any more."""
        with self.reading() as session:
            session.execute(text("SELECT version_num FROM alembic_version")).one()

    def checkpoint(self) -> bool:
        """Bring SQLite's write-ahead log into the file and empty it, so that removed rows are nowhere any more.

        False while somebody reads what is older. True on PostgreSQL, which sees to its log itself. StorageError.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        with _translated(), self._hold_write_lock():
            connection = self.engine.raw_connection()
            try:
                return empty_wal(connection)
            finally:
                connection.close()

    def close(self) -> None:
        self.engine.dispose()


def open_database(url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
    """Open, create where it is missing, and bring to this version's tables; several processes may do so at once.

    ArtifactError for a URL that is none, or tables of a newer version of this service. StorageError.
    """
    location = parse_url(url)
    if isinstance(location, Path):
        return _open_sqlite(location, busy_timeout_s)
    return _migrated(Database(postgresql_engine(location, busy_timeout_s), nullcontext))


def open_existing_database(url: str) -> Database:
    """For commands about what is there: ArtifactError("database_not_found") where `open_database` would make a file."""
    location = parse_url(url)
    if isinstance(location, Path) and not location.is_file():
        raise ArtifactError("database_not_found", file=str(location))
    return open_database(url)


def _open_sqlite(path: Path, busy_timeout_s: float) -> Database:
    create_private_file(path)
    lock = WriteLock(path.with_name(f"{path.name}.lock"), busy_timeout_s)
    with lock.held(MIGRATION_WAIT_S):
        enable_wal(path, busy_timeout_s)
        return _migrated(Database(sqlite_engine(path, busy_timeout_s), lock.held))


def _migrated(database: Database) -> Database:
    try:
        with _translated():
            upgrade(database.engine)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        failure = storage_failure(error)
        if failure is None:
            raise
        raise failure from error
