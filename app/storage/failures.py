"""What the database drivers raise, as StorageError with a stable code. SQL and its parameters go nowhere.

storage_full         no room on the disk
storage_locked       someone else held the database for too long
storage_unavailable  it cannot be reached, read or written: gone, read-only, damaged, no rights
"""

from __future__ import annotations

import errno
import sqlite3

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.errors import StorageError

FULL, LOCKED, UNAVAILABLE = "storage_full", "storage_locked", "storage_unavailable"

_SQLITE = {sqlite3.SQLITE_FULL: FULL, sqlite3.SQLITE_BUSY: LOCKED, sqlite3.SQLITE_LOCKED: LOCKED}
"""By primary result code, the low byte of the extended one."""
_POSTGRESQL = {
    "53100": FULL,  # disk_full
    "55P03": LOCKED,  # lock_not_available: lock_timeout
    "57014": LOCKED,  # query_canceled: statement_timeout
    "40001": LOCKED,  # serialization_failure
    "40P01": LOCKED,  # deadlock_detected
}


class RowConflictError(StorageError):
    """A constraint refused the row: another writer was first, or a row that it refers to is gone."""


def storage_failure(error: SQLAlchemyError) -> StorageError | None:
    """The failure that a driver's error stands for; None where it is a mistake of ours, to be raised as it is."""
    if isinstance(error, PoolTimeoutError):
        return failed(LOCKED, "connection_pool")
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    if isinstance(error, IntegrityError):
        return RowConflictError(UNAVAILABLE, reason=_name(error.orig))
    return driver_failure(error.orig)


def driver_failure(error: BaseException) -> StorageError:
    """The failure that sqlite3's or psycopg's own exception stands for."""
    return failed(_code(error), _name(error), _connection_trouble(error))


def file_failure(error: OSError) -> StorageError:
    """The failure of a file operation beside the database."""
    code = FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else UNAVAILABLE
    return failed(code, errno.errorcode.get(error.errno or 0, "OSError"))


def _code(original: BaseException) -> str:
    if isinstance(original, sqlite3.Error):
        return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF, UNAVAILABLE)
    return _POSTGRESQL.get(getattr(original, "sqlstate", None) or "", UNAVAILABLE)


def _name(original: BaseException) -> str:
    """SQLITE_..., an SQLSTATE, or the exception's class: never its message, which may quote values."""
    name = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    return str(name or type(original).__name__)


def _connection_trouble(original: BaseException) -> str | None:
    """What libpq says of a connection that failed or broke: host, role and database, no statement and no password."""
    if type(original).__module__.startswith("psycopg") and type(original).__name__ == "OperationalError":
        return None if getattr(original, "sqlstate", None) else " ".join(str(original).split())
    return None


def failed(code: str, reason: str, detail: str | None = None) -> StorageError:
    """Noted in the log, to be raised. `reason` is a name, never a value; `detail` goes to the log alone."""
    noted = {} if detail is None else {"detail": detail}
    structlog.get_logger("app.storage").warning("storage_failed", code=code, reason=reason, **noted)
    return StorageError(code, reason=reason)
