"""version.json: what a version is, where it comes from, and the hash of every file that it is made of."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from app.adaptation import VersionInfo
from app.errors import ArtifactError
from app.fusion.identity import fusion_version
from app.versions.files import DamagedDocumentError, file_sha256, read_sealed, write_sealed
from app.versions.pointer import VersionId

RECORD_NAME = "version.json"


class VersionRecord(BaseModel):
    """version.json; the fields of `VersionInfo` and the files."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format_version: Literal[1] = 1
    version: VersionId
    parent: VersionId | None
    run_id: str | None
    created_at: AwareDatetime | None
    counts: dict[str, int]
    figures: dict[str, Any]
    settings: dict[str, Any]
    code_revision: str | None
    files: dict[str, str]
    """Path below the folder -> SHA-256, of every file but this one."""

    @property
    def info(self) -> VersionInfo:
        return VersionInfo(**{item.name: getattr(self, item.name) for item in fields(VersionInfo)})


def is_version_id(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{12}", name) is not None


def write_record(folder: Path, info: VersionInfo) -> None:
    """Hashes every file of the folder, and says so in it. ArtifactError where something is no plain file."""
    files = {name: file_sha256(folder / name) for name in _files_below(info.version, folder)}
    values = {item.name: getattr(info, item.name) for item in fields(VersionInfo)}
    record = VersionRecord.model_validate({**values, "files": files})
    write_sealed(folder / RECORD_NAME, record.model_dump(mode="json"))


def read_record(folder: Path) -> VersionRecord:
    """ArtifactError("version_damaged") where it is missing, damaged, or another version's."""
    try:
        record = VersionRecord.model_validate(read_sealed(folder / RECORD_NAME))
    except (OSError, DamagedDocumentError, ValidationError) as error:
        raise ArtifactError("version_damaged", version=folder.name, file=RECORD_NAME) from error
    if record.version != folder.name:
        raise ArtifactError("version_damaged", version=folder.name, file=RECORD_NAME)
    return record


def verify_record(version: str, folder: Path) -> None:
    """ArtifactError("version_damaged", version=, file=) for the first file that is missing, differs, or came later."""
    files = read_record(folder).files
    for name in sorted(_files_below(version, folder) ^ set(files)):
        raise ArtifactError("version_damaged", version=version, file=name)
    for name, expected in sorted(files.items()):
        if file_sha256(folder / name) != expected:
            raise ArtifactError("version_damaged", version=version, file=name)
    if fusion_version(folder) != version:
        raise ArtifactError("version_damaged", version=version, file="manifest.json")


def _files_below(version: str, folder: Path) -> set[str]:
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactError("version_damaged", version=version, file=name)
        if path.is_file() and name != RECORD_NAME:
            found.add(name)
    return found
