"""Putting a version into service, with the entries of the audit log around it."""

from __future__ import annotations

import structlog

from app.adaptation import ActiveVersion
from app.errors import AppError, ArtifactError, StorageError
from app.services.ports import AuditStore, VersionStore

ACTIVATING, ACTIVATED, NOT_ACTIVATED = "version.activating", "version.activated", "version.not_activated"


def activate_version(
    versions: VersionStore, audit: AuditStore, version: str, *, by: str, expected: str | None = None
) -> ActiveVersion:
    """Point at it. Intent is written down before the pointer moves, and remembered by it; the result after.

    Activating the active version changes and writes nothing. Without `expected` a damaged pointer is replaced.
    NotFoundError("version_not_found"), ConflictError("version_changed"), ArtifactError where it must not be served,
    StorageError: in each case the pointer is what it was.
    """
    before = _before(versions, expected)
    if before is not None and before.version == version and expected in {None, version}:
        return before
    run_id = versions.info(version).run_id
    details = {"from": None if before is None else before.version, "run_id": run_id}
    intent = audit.append(by, ACTIVATING, version, details)
    try:
        after = versions.activate(version, by=by, run_id=run_id, expected=expected, audit_head=intent.digest)
    except AppError as error:
        audit.append(by, NOT_ACTIVATED, version, {"code": error.code})
        raise
    log = structlog.get_logger("app.versions")
    log.info("version_activated", version=version, before=details["from"], sequence=after.sequence)
    try:
        audit.append(by, ACTIVATED, version, {"from": details["from"], "sequence": after.sequence})
    except StorageError as error:  # it is active and the intent stands: an error would say that nothing was done
        log.error("audit_entry_missing", action=ACTIVATED, version=version, code=error.code)
    return after


def _before(versions: VersionStore, expected: str | None) -> ActiveVersion | None:
    """The active version; None where the pointer is damaged and whoever chooses one anew repairs it."""
    try:
        return versions.active()
    except ArtifactError as error:
        if expected is not None:
            raise
        structlog.get_logger("app.versions").warning("pointer_replaced", code=error.code, **error.params)
        return None
