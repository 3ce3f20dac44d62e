"""A fresh database for each test: SQLite always, PostgreSQL where MEDMODAL_TEST_POSTGRES_URL names a server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url

from app.storage.audit import AuditLog
from app.storage.database import Database, open_database
from app.storage.runs import RunRepository
from tests.storage.learning_samples import StandingClock

POSTGRES_VARIABLE = "MEDMODAL_TEST_POSTGRES_URL"


@contextmanager
def fresh_postgresql() -> Iterator[str]:
    """The URL of an empty database on the server of the variable, whose role may create databases."""
    server = os.environ.get(POSTGRES_VARIABLE)
    if not server:
        pytest.skip(f"{POSTGRES_VARIABLE} is not set")
    url = make_url(server).set(drivername="postgresql+psycopg")
    name = f"medmodal_test_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"{_strategy(connection)}')
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    engine.dispose()


def _strategy(connection: Connection) -> str:
    """Since 15 the default writes the template through the log, which takes ten times as long."""
    return " STRATEGY FILE_COPY" if (connection.dialect.server_version_info or ()) >= (15,) else ""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'medmodal.db'}"
        return
    with fresh_postgresql() as url:
        yield url


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    with fresh_postgresql() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "medmodal.db"


@pytest.fixture
def sqlite_database(sqlite_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{sqlite_path}", busy_timeout_s=0.3)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def runs(database: Database, clock: StandingClock) -> RunRepository:
    return RunRepository(database, clock=clock)


@pytest.fixture
def log(database: Database, clock: StandingClock) -> AuditLog:
    return AuditLog(database, clock=clock)
