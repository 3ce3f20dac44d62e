from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from app.adaptation import AuditEntry
from app.errors import StorageError
from app.storage.audit import GENESIS, AuditLog, AuditReport, append_entry, entry_digest, verify_chain
from app.storage.database import Database
from tests.storage.learning_samples import StandingClock

DETAILS = {
    "counts": {"train": 20, "held_out": 5},
    "reason": None,
    "사유": "기준 통과",
    "loss": 0.1 + 0.2,
    "ids": [1, 2],
}


def fill(log: AuditLog, count: int = 5) -> list[AuditEntry]:
    return [log.append("worker", "run.opened", f"run_{number}", DETAILS) for number in range(count)]


def unguard(database: Database) -> None:
    """What somebody with every right on the database can do."""
    with database.writing() as session:
        if database.engine.dialect.name == "postgresql":
            session.execute(text("DROP TRIGGER audit_log_no_change ON audit_log"))
        else:
            for event in ("update", "delete"):
                session.execute(text(f"DROP TRIGGER audit_log_no_{event}"))


def tamper(database: Database, statement: str, *values: dict[str, int]) -> None:
    unguard(database)
    with database.writing() as session:
        for each in values or ({},):
            session.execute(text(statement), each)


# --- writing
def test_an_empty_log_is_whole(log: AuditLog):
    assert (log.entries(), log.head()) == ((), None)
    assert log.verify() == AuditReport(0, GENESIS) == log.verify(expected_head=GENESIS)


def test_entries_are_chained(log: AuditLog, clock: StandingClock):
    first, second = fill(log, 2)
    assert (first.sequence, first.previous, first.at) == (1, "0" * 64, clock.now)
    assert (second.sequence, second.previous) == (2, first.digest)
    assert log.entries() == (first, second)
    assert log.head() == second
    assert log.verify() == AuditReport(2, second.digest)


def test_the_digest_can_be_worked_out_by_anybody(log: AuditLog):
    (entry,) = fill(log, 1)
    document = {
        "sequence": 1,
        "at": "2026-11-21T09:30:00.123456+00:00",
        "actor": "worker",
        "action": "run.opened",
        "subject": "run_0",
        "details": DETAILS,
        "previous": "0" * 64,
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_whole_second_and_another_zone_are_written_alike(database: Database):
    seoul = datetime(2026, 11, 21, 18, 30, tzinfo=timezone(timedelta(hours=9)))
    log = AuditLog(database, clock=lambda: seoul)
    entry = log.append("local", "version.activated", "0" * 12, {})
    assert entry.at == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert log.entries() == (entry,)
    assert log.verify().first_broken is None


def test_details_are_kept_as_json_keeps_them(log: AuditLog):
    entry = log.append("worker", "run.opened", "run_1", {"shares": (0.5, 1.0), "by": {1: "a"}})
    assert entry.details == {"shares": [0.5, 1.0], "by": {"1": "a"}}
    assert log.entries() == (entry,)
    assert log.verify().first_broken is None


def test_what_is_no_json_is_refused(log: AuditLog):
    with pytest.raises(ValueError, match="JSON"):
        log.append("worker", "run.opened", "run_1", {"loss": float("nan")})
    assert log.head() is None


def test_entries_are_read_in_parts_by_subject_and_by_action(log: AuditLog):
    entries = fill(log, 5)
    entries.append(log.append("worker", "run.claimed", "run_3", {}))
    assert log.entries(action="run.claimed") == (entries[5],)
    assert log.entries(subject="run_3") == (entries[3], entries[5])
    assert log.entries(subject="run_3", action="run.opened") == (entries[3],)
    assert log.entries(after=1, limit=2) == tuple(entries[1:3])
    assert log.entries(after=6) == ()


def test_an_entry_goes_with_its_transaction(database: Database, clock: StandingClock, log: AuditLog):
    def fail_after_appending() -> None:
        with database.writing() as session:
            append_entry(session, "worker", "run.opened", "run_1", {}, at=clock())
            raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        fail_after_appending()
    assert log.head() is None
    with database.writing() as session:
        two = [append_entry(session, "worker", "run.opened", "run_1", {}, at=clock()) for _ in range(2)]
    assert log.entries() == tuple(two)
    assert log.verify().first_broken is None


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"])
def test_the_database_itself_refuses_to_change_the_log(statement: str, database: Database, log: AuditLog):
    entries = fill(log, 2)
    with pytest.raises((StorageError, DatabaseError)), database.writing() as session:
        session.execute(text(statement))
    assert log.entries() == tuple(entries)


# --- verifying
@pytest.mark.parametrize(
    ("statement", "first_broken", "reason"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE sequence = 3", 3, "changed"),
        ("UPDATE audit_log SET action = 'run.rejected' WHERE sequence = 3", 3, "changed"),
        ("UPDATE audit_log SET subject = 'run_9' WHERE sequence = 5", 5, "changed"),
        ("""UPDATE audit_log SET details = '{"counts":{}}' WHERE sequence = 1""", 1, "changed"),
        ("UPDATE audit_log SET at = '2026-11-21 09:30:00.123457' WHERE sequence = 2", 2, "changed"),
        ("UPDATE audit_log SET digest = 'ff' WHERE sequence = 4", 4, "changed"),
        ("UPDATE audit_log SET previous = 'ff' WHERE sequence = 4", 4, "unchained"),
        ("DELETE FROM audit_log WHERE sequence = 3", 3, "missing"),
        ("DELETE FROM audit_log WHERE sequence = 1", 1, "missing"),
        ("UPDATE audit_log SET sequence = 0 WHERE sequence = 1", 1, "missing"),
        ("UPDATE audit_log SET sequence = 9 WHERE sequence = 5", 5, "missing"),
    ],
)
def test_tampering_is_found_where_it_was_done(
    statement: str, first_broken: int, reason: str, database: Database, log: AuditLog
):
    if database.engine.dialect.name == "postgresql":
        statement = statement.replace(".123457'", ".123457+00'")
    entries = fill(log, 5)
    tamper(database, statement)
    report = log.verify()
    assert (report.first_broken, report.reason) == (first_broken, reason)
    assert report.entries == first_broken - 1
    assert report.head == (entries[first_broken - 2].digest if first_broken > 1 else GENESIS)


def test_swapped_entries_are_found(database: Database, log: AuditLog):
    fill(log, 5)
    moves = [{"old": old, "new": new} for old, new in ((2, 99), (3, 2), (99, 3))]
    tamper(database, "UPDATE audit_log SET sequence = :new WHERE sequence = :old", *moves)
    assert (log.verify().first_broken, log.verify().reason) == (2, "unchained")


def rechained(entries: Sequence[AuditEntry], start: int) -> list[AuditEntry]:
    """The chain with new digests from `start` on: what a forger makes who knows how digests are made."""
    chain = list(entries[:start])
    for entry in entries[start:]:
        bare = replace(entry, previous=chain[-1].digest if chain else GENESIS)
        chain.append(replace(bare, digest=entry_digest(bare)))
    return chain


def test_a_forged_entry_breaks_the_chain_behind_it(log: AuditLog):
    entries = fill(log, 5)
    forged = replace(entries[2], actor="nobody")
    forged = replace(forged, digest=entry_digest(forged))
    report = verify_chain([*entries[:2], forged, *entries[3:]])
    assert (report.first_broken, report.reason) == (4, "unchained")


def test_a_chain_that_was_forged_to_its_end_is_not_the_one_that_is_remembered(log: AuditLog):
    entries = fill(log, 5)
    forged = rechained([*entries[:2], replace(entries[2], actor="nobody"), *entries[3:]], 2)
    assert verify_chain(forged).first_broken is None
    report = verify_chain(forged, expected_head=entries[3].digest)
    assert (report.first_broken, report.reason) == (6, "cut")


def test_a_fork_is_found(log: AuditLog):
    entries = fill(log, 5)
    fork = rechained([*entries[:2], replace(entries[2], actor="nobody")], 2)[2]
    assert verify_chain([*entries[:3], fork, *entries[3:]]).reason == "missing"


@pytest.mark.parametrize("kept", [0, 2, 4])
def test_a_cut_tail_is_found_by_the_remembered_head(kept: int, database: Database, log: AuditLog):
    entries = fill(log, 5)
    tamper(database, "DELETE FROM audit_log WHERE sequence > :kept", {"kept": kept})
    assert log.verify() == AuditReport(kept, entries[kept - 1].digest if kept else GENESIS)
    report = log.verify(expected_head=entries[4].digest)
    assert (report.entries, report.first_broken, report.reason) == (kept, kept + 1, "cut")


def test_the_remembered_head_may_be_followed_by_more(log: AuditLog):
    entries = fill(log, 5)
    assert log.verify(expected_head=entries[2].digest) == AuditReport(5, entries[4].digest)


def test_a_log_is_verified_in_parts(database: Database, log: AuditLog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.storage.audit._CHUNK", 10)
    fill(log, 25)
    assert log.verify().entries == 25
    tamper(database, "UPDATE audit_log SET subject = 'x' WHERE sequence = 21")
    assert log.verify().first_broken == 21
