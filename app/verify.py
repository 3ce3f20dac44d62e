"""`python -m app.verify`: whether the audit log, the reports, the versions and the pointer are what they were.

audit log   every entry follows from the one before, and the entry that the pointer remembers is among them
reports     the report of each decided run is the one whose digest was noted with the decision
versions    every file of every version has the hash that it was published with, the base version included
pointer     the active version is the one that the audit log says was activated last

Also while the service runs: nothing is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from app.adaptation import ActiveVersion, AuditEntry
from app.errors import AppError, NotFoundError
from app.observability import configure_logging
from app.services.activation import ACTIVATED, ACTIVATING
from app.serving_version import version_registry
from app.settings import Settings
from app.storage.audit import AuditLog, digest_of
from app.storage.database import Database, open_existing_database
from app.storage.runs import RunRepository
from app.versions.registry import VersionRegistry

EXIT_BROKEN = 1
EXIT_BAD_SETTINGS = 2
_PAGE = 1000
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `fault` says what is wrong with it."""

    subject: str
    detail: str
    fault: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 where all is as it was, 1 where something is not or cannot be read, 2 for a bad setting."""
    parser = argparse.ArgumentParser(
        prog="python -m app.verify", description="Check the audit log, reports, versions and pointer."
    )
    parser.add_argument("--json", action="store_true", help="what was found, for programs")
    in_json: bool = parser.parse_args(arguments).json
    try:
        settings = Settings.load()
    except AppError as error:
        return _refuse(f"bad setting {error.params['setting']}: {error.params['reason']}", EXIT_BAD_SETTINGS)
    configure_logging("WARNING", settings.log_format)
    try:
        with closing(open_existing_database(settings.database_url)) as database:
            findings = verify(database, version_registry(settings))
    except AppError as error:
        return _refuse(str(error), EXIT_BROKEN)
    is_sound = all(finding.fault is None for finding in findings)
    if in_json:
        told = {"is_sound": is_sound, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(f"{json.dumps(told, indent=1)}\n")
    else:
        sys.stdout.write("".join(f"{_line(finding)}\n" for finding in findings))
    return 0 if is_sound else EXIT_BROKEN


def verify(database: Database, registry: VersionRegistry) -> list[Finding]:
    """All findings. StorageError where the database or a disk does not answer."""
    findings = [*_versions(registry), *_reports(database)]
    for _ in range(_TRIES):
        stamp = registry.stamp()
        chain = [*_chain(AuditLog(database), registry)]
        if registry.stamp() == stamp:  # else somebody activated a version between two looks
            break
    return [*chain, *findings]


def _chain(log: AuditLog, registry: VersionRegistry) -> Iterator[Finding]:
    """The pointer is read first: an entry is written before the pointer that remembers it."""
    head: str | None = None
    pointer_fault = None
    try:
        active, head = registry.active(), registry.audit_head()
    except AppError as error:
        pointer_fault = str(error)
    report = log.verify(expected_head=head)
    broken = None if report.reason is None else f"{report.reason} at entry {report.first_broken}"
    yield Finding("audit log", f"{report.entries} entries, head {report.head[:12]}", broken)
    if pointer_fault is not None:
        yield Finding("pointer", "unreadable", pointer_fault)
        return
    detail = f"active {active.version}, activation {active.sequence}"
    yield Finding("pointer", detail, _pointer_fault(log, active, head))


def _pointer_fault(log: AuditLog, active: ActiveVersion, head: str | None) -> str | None:
    intent = next((entry for entry in _entries(log, ACTIVATING) if entry.digest == head), None)
    if active.sequence > 0 and (intent is None or intent.subject != active.version):
        return "the audit log knows nothing of this activation"
    last = None
    for entry in _entries(log, ACTIVATED, 0 if intent is None else intent.sequence):
        if _contradicts(entry, active):
            last = entry
    if last is not None:
        return f"the audit log says that {last.subject} was activated last, in entry {last.sequence}"
    return None


def _contradicts(entry: AuditEntry, active: ActiveVersion) -> bool:
    """By the number of the activation: of two at the same time, the earlier one may be written down later."""
    number = entry.details["sequence"]
    return number > active.sequence or (number == active.sequence and entry.subject != active.version)


def _reports(database: Database) -> Iterator[Finding]:
    runs = RunRepository(database)
    sound = 0
    for entry in _entries(AuditLog(database), "run.decided"):
        try:
            report = runs.get(entry.subject).report or {}
        except NotFoundError:
            yield Finding("report", entry.subject, "the run is gone")
            continue
        if digest_of(report) == entry.details["report_sha256"]:
            sound += 1
        else:
            yield Finding("report", entry.subject, f"is not the one that was decided on in entry {entry.sequence}")
    yield Finding("reports", f"{sound} as they were decided on")


def _versions(registry: VersionRegistry) -> Iterator[Finding]:
    for version in dict.fromkeys((*registry.ids(), registry.base_version)):
        detail = f"{version} (base)" if version == registry.base_version else version
        try:
            registry.verify(version)
        except AppError as error:
            yield Finding("version", detail, str(error))
        else:
            yield Finding("version", detail)


def _entries(log: AuditLog, action: str, after: int = 0) -> Iterator[AuditEntry]:
    while page := log.entries(after, _PAGE, action=action):
        yield from page
        after = page[-1].sequence


def _line(finding: Finding) -> str:
    return f"{finding.subject}: {finding.detail}: {finding.fault or 'sound'}"


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"medmodal: {reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
