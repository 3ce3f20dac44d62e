"""Alembic runs this file; the connection, and with it the transaction, is the caller's (`app.storage.migrating`)."""

from __future__ import annotations

from alembic import context

from app.storage.migrating import CONNECTION_ATTRIBUTE
from app.storage.schema import Base

context.configure(
    connection=context.config.attributes[CONNECTION_ATTRIBUTE],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
