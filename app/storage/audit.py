"""The audit log: an append-only chain of who did what to training runs, versions and stored data.

Each entry's digest covers its other fields and the digest before it, so that no entry can be changed, removed or put
elsewhere without every later digest being wrong. A cut tail leaves a shorter chain that is sound in itself: it is
seen by comparing with a digest that is remembered elsewhere, such as the one in the pointer to the active version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.adaptation import AuditEntry
from app.storage.database import Database
from app.storage.schema import AuditRow

Clock = Callable[[], datetime]
BrokenReason = Literal["changed", "missing", "unchained", "cut"]
GENESIS = "0" * 64
"""What stands before the first entry."""
LOCAL = "local"
"""The actor where no API key was needed."""
_ADVISORY_LOCK = 0x61756474  # "audt": any number that all our processes agree on
_CHUNK = 500


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What reading the whole chain showed."""

    entries: int
    """How many are sound: the whole chain, or what stands before the first broken one."""
    head: str
    """Digest of the last sound entry; GENESIS without any."""
    first_broken: int | None = None
    """Sequence number where the chain breaks; None for a whole one."""
    reason: BrokenReason | None = None
    """changed: the digest is not its content's; missing: the number is left out; unchained: it does not follow from the
    entry before; cut: the chain ends before the remembered head."""


class AuditLog:
    """Thread-safe. Blocking; StorageError where the database cannot do its part."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def append(self, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> AuditEntry:
        """Durable when it returns. `details` must be JSON, and nothing of a patient."""
        with self._database.writing() as session:
            return append_entry(session, actor, action, subject, details, at=self._clock())

    def entries(
        self, after: int = 0, limit: int = 1000, *, subject: str | None = None, action: str | None = None
    ) -> tuple[AuditEntry, ...]:
        """Entries with a number above `after`, in order; of one `subject` and one `action` where they are given."""
        chosen = select(AuditRow).where(AuditRow.sequence > after).order_by(AuditRow.sequence).limit(limit)
        if subject is not None:
            chosen = chosen.where(AuditRow.subject == subject)
        if action is not None:
            chosen = chosen.where(AuditRow.action == action)
        with self._database.reading() as session:
            return tuple(_entry(row) for row in session.scalars(chosen))

    def head(self) -> AuditEntry | None:
        """The last entry."""
        with self._database.reading() as session:
            return _head(session)

    def verify(self, expected_head: str | None = None) -> AuditReport:
        """Reads the whole chain as it is at one moment, a part at a time.

        `expected_head`: a digest that was the head once; a chain without it was cut (or is another one).
        """
        chosen = select(AuditRow).order_by(AuditRow.sequence).execution_options(yield_per=_CHUNK)
        with self._database.reading() as session, session.scalars(chosen) as rows:
            return verify_chain((_entry(row) for row in rows), expected_head)


def append_entry(
    session: Session, actor: str, action: str, subject: str, details: Mapping[str, Any], *, at: datetime
) -> AuditEntry:
    """The chain's next entry, as part of the caller's transaction: make it the last thing that is written there.

    From here to the end of the transaction nobody else can append, so that chains do not fork and writers do not
    collide; the primary key stands behind it.
    """
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time as it is
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    head = _head(session)
    number, previous = (1, GENESIS) if head is None else (head.sequence + 1, head.digest)
    entry = AuditEntry(number, at.astimezone(UTC), actor, action, subject, as_json(details), previous, "")
    entry = replace(entry, digest=entry_digest(entry))
    session.add(AuditRow(**asdict(entry)))
    session.flush()
    return entry


def verify_chain(entries: Iterable[AuditEntry], expected_head: str | None = None) -> AuditReport:
    """Whether `entries`, in the order of their numbers, are one whole chain from number 1 on."""
    sound, head = 0, GENESIS
    expected_seen = expected_head in {None, GENESIS}
    for entry in entries:
        reason = _fault(entry, sound + 1, head)
        if reason is not None:
            return AuditReport(sound, head, sound + 1, reason)
        sound, head = entry.sequence, entry.digest
        expected_seen = expected_seen or head == expected_head
    return AuditReport(sound, head) if expected_seen else AuditReport(sound, head, sound + 1, "cut")


def entry_digest(entry: AuditEntry) -> str:
    """SHA-256, in hex, of the canonical JSON of every field but `digest`."""
    return digest_of(
        {
            "sequence": entry.sequence,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "details": entry.details,
            "previous": entry.previous,
        }
    )


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of canonical JSON: sorted keys, no spaces, UTF-8. ValueError for what is no JSON."""
    return hashlib.sha256(_canonical(as_json(document)).encode()).hexdigest()


def as_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """What will be read back: lists for tuples, strings for the keys of objects."""
    read: dict[str, Any] = json.loads(_canonical(document))
    return read


def _fault(entry: AuditEntry, number: int, previous: str) -> BrokenReason | None:
    if entry.sequence != number:
        return "missing"
    if entry.previous != previous:
        return "unchained"
    return None if entry.digest == entry_digest(entry) else "changed"


def _head(session: Session) -> AuditEntry | None:
    row = session.scalar(select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1))
    return None if row is None else _entry(row)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(row.sequence, row.at, row.actor, row.action, row.subject, row.details, row.previous, row.digest)


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
