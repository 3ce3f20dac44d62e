"""Brings a database to a revision of `migrations/`, in one transaction: all of the way or not at all."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from app.errors import ArtifactError

MIGRATIONS = Path(__file__).with_name("migrations")
CONNECTION_ATTRIBUTE = "connection"
_LOCK_WAIT_MS = 60_000
_ADVISORY_LOCK = 0x6D65646D  # "medm": any number that all our processes agree on


def upgrade(engine: Engine, revision: str = "head") -> None:
    """ArtifactError("database_schema_unknown") for tables of a newer version of this service."""
    with engine.begin() as connection:
        _wait_alone(connection)
        config = _config(connection)
        _refuse_unknown(config, connection)
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Back to `revision`, or "base" for nothing at all. What newer columns and tables held is lost."""
    with engine.begin() as connection:
        _wait_alone(connection)
        command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes[CONNECTION_ATTRIBUTE] = connection
    return config


def _wait_alone(connection: Connection) -> None:
    """One migrating process at a time. On SQLite, BEGIN IMMEDIATE and the write lock have seen to it."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
    connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": str(_LOCK_WAIT_MS)})
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _refuse_unknown(config: Config, connection: Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise ArtifactError("database_schema_unknown", revision=current)
