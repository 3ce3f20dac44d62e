"""The pointer: one small file that says which version is active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.adaptation import ActiveVersion
from app.errors import ArtifactError
from app.versions.files import DamagedDocumentError, as_storage_failures, read_sealed, write_sealed

ACTIVE_NAME, PREVIOUS_NAME = "active.json", "previous.json"
VersionId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]

Stamp = tuple[int, int, int]
"""Inode, size and time of the file: another one whenever the pointer was switched."""


class PointerRecord(BaseModel):
    """active.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format_version: Literal[1] = 1
    version: VersionId
    sequence: Annotated[int, Field(ge=1)]
    activated_at: AwareDatetime
    activated_by: str
    run_id: str | None
    audit_head: str | None
    """Digest of the audit entry that was written before: the log must still hold it."""

    def active(self) -> ActiveVersion:
        return ActiveVersion(self.version, self.sequence, self.activated_at, self.activated_by, self.run_id)


@dataclass(frozen=True, slots=True)
class Activation:
    """Who activates what, and when."""

    version: str
    by: str
    run_id: str | None
    audit_head: str | None
    at: datetime


class Pointer:
    """`switch` only under the registry's lock; reading needs none."""

    def __init__(self, root: Path) -> None:
        self._path = root / ACTIVE_NAME
        self._previous = root / PREVIOUS_NAME

    def stamp(self) -> Stamp | None:
        """What to compare in order to notice a switch; None without a pointer."""
        with as_storage_failures():
            try:
                state = self._path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return state.st_ino, state.st_size, state.st_mtime_ns

    def partials(self) -> list[Path]:
        """What a writer that was killed has left."""
        return [path for one in (self._path, self._previous) for path in one.parent.glob(f".{one.name}.*")]

    def read(self) -> PointerRecord | None:
        """None where nothing was ever activated. ArtifactError("version_pointer_invalid") for a damaged file."""
        return _read(self._path)

    def switch(self, activation: Activation) -> PointerRecord:
        """Points to another version, also where the present pointer is damaged: that is how it is repaired."""
        record = PointerRecord(
            version=activation.version,
            sequence=self._last_sequence() + 1,
            activated_at=activation.at,
            activated_by=activation.by,
            run_id=activation.run_id,
            audit_head=activation.audit_head,
        )
        write_sealed(self._path, record.model_dump(mode="json"))
        return record

    def _last_sequence(self) -> int:
        """Of the present pointer, which is kept aside; of the one before, and one more, where it is damaged."""
        try:
            present = self.read()
        except ArtifactError:
            return self._previous_sequence() + 1
        if present is None:
            return 0
        write_sealed(self._previous, present.model_dump(mode="json"))
        return present.sequence

    def _previous_sequence(self) -> int:
        try:
            previous = _read(self._previous)
        except ArtifactError:
            return 0
        return 0 if previous is None else previous.sequence


def _read(path: Path) -> PointerRecord | None:
    with as_storage_failures():
        try:
            return PointerRecord.model_validate(read_sealed(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (DamagedDocumentError, ValidationError) as error:
            raise ArtifactError("version_pointer_invalid", file=str(path)) from error
