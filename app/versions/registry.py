"""The registry: which versions there are, whether they are whole, and which one is active."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.adaptation import ActiveVersion, VersionInfo
from app.errors import ArtifactError, ConflictError, NotFoundError
from app.fusion.identity import evidence_identity, fusion_version, verified_manifest
from app.versions.files import as_storage_failures, is_locked, locked, sync_folder, sync_tree
from app.versions.pointer import Activation, Pointer, Stamp
from app.versions.record import is_version_id, read_record, verify_record, write_record

_LOCK_NAME = ".lock"
_STAGING_PREFIX = ".staging-"
_READ_ONLY, _FOLDER = 0o444, 0o755


class VersionRegistry:
    """Blocking, thread-safe, and safe between processes. `base` is the fusion folder that comes with the service.

    StorageError where the disk refuses.
    """

    def __init__(self, root: Path, base: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._root = root
        self._base = base
        self._clock = clock
        self._pointer = Pointer(root)

    # ------------------------------------------------------------------------ what there is
    @property
    def base_version(self) -> str:
        with as_storage_failures():
            return fusion_version(self._base)

    def ids(self) -> tuple[str, ...]:
        """Every version that has a folder here, damaged or not, without the base version."""
        if not self._root.is_dir():
            return ()
        with as_storage_failures():
            return tuple(sorted(path.name for path in self._root.iterdir() if is_version_id(path.name)))

    def infos(self) -> tuple[VersionInfo, ...]:
        """Newest first, the base version last. One whose record is damaged is left out, and the log says so."""
        found = []
        for version in self.ids():
            try:
                found.append(self.info(version))
            except NotFoundError:  # withdrawn since we looked
                continue
            except ArtifactError as error:
                structlog.get_logger("app.versions").warning("version_left_out", code=error.code, **error.params)
        found.sort(key=lambda info: (info.created_at or datetime.min.replace(tzinfo=UTC), info.version), reverse=True)
        return (*(info for info in found if info.version != self.base_version), self._base_info())

    def info(self, version: str) -> VersionInfo:
        """NotFoundError("version_not_found"); ArtifactError("version_damaged") where its record cannot be read."""
        if version == self.base_version:
            return self._base_info()
        return read_record(self.folder(version)).info

    def folder(self, version: str) -> Path:
        """The fusion folder of a version. NotFoundError("version_not_found")."""
        if version == self.base_version:
            return self._base
        folder = self._root / version
        if not is_version_id(version) or not folder.is_dir():
            raise NotFoundError("version_not_found")
        return folder

    def verify(self, version: str) -> None:
        """Hash every file. NotFoundError("version_not_found"), ArtifactError("version_damaged", version=, file=)."""
        folder = self.folder(version)
        with as_storage_failures():
            if folder == self._base:
                verified_manifest(folder)
            else:
                verify_record(version, folder)

    def _base_info(self) -> VersionInfo:
        return VersionInfo(self.base_version, parent=None, run_id=None, created_at=None)

    # ------------------------------------------------------------------------ making one
    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A fresh folder to make a version in. Gone at the end of the block, unless it was published."""
        with ExitStack() as stack:
            with as_storage_failures():
                self._root.mkdir(parents=True, exist_ok=True)
                with locked(self._root / _LOCK_NAME):  # or `clean` finds it between its making and its own lock
                    folder = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=self._root))
                    stack.enter_context(locked(folder, folder=True))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder

    def clean(self) -> int:
        """Remove what makers that ended before they published have left; how many there were."""
        if not self._root.is_dir():
            return 0
        removed = 0
        with as_storage_failures(), locked(self._root / _LOCK_NAME):
            for partial in self._pointer.partials():  # pointers are written under this lock: nobody's any more
                partial.unlink()
            for path in self._root.glob(f"{_STAGING_PREFIX}*"):
                with suppress(FileNotFoundError):  # its maker was just removing it
                    if not is_locked(path):
                        shutil.rmtree(path)
                        removed += 1
        return removed

    def publish(self, staged: Path, info: VersionInfo) -> str:
        """Make a staged fusion folder a version, and return its id. `info.version` must be that id.

        Publishing again what is there changes nothing. ArtifactError where the folder is no whole fusion folder, is not
        the version that `info` says, or where a damaged version of that id is there: it is never written over.
        """
        version = verified_manifest(staged).version
        if info.version != version:
            raise ArtifactError("version_mismatch", version=version, named=info.version)
        target = self._root / version
        with as_storage_failures(), locked(self._root / _LOCK_NAME):
            if target.exists():
                verify_record(version, target)
                shutil.rmtree(staged)
                return version
            write_record(staged, info)
            for path in staged.rglob("*"):
                path.chmod(_FOLDER if path.is_dir() else _READ_ONLY)
            staged.chmod(_FOLDER)
            sync_tree(staged)
            staged.rename(target)
            sync_folder(self._root)
        return version

    def withdraw(self, run_id: str) -> int:
        """Remove what an attempt of this run published and never came to decide on; how many there were.

        The active version stays, whatever it is.
        """
        removed = 0
        for info in self.infos():
            if info.run_id == run_id:
                with as_storage_failures(), locked(self._root / _LOCK_NAME):
                    if self.active().version != info.version:
                        gone = self.folder(info.version).rename(self._root / f"{_STAGING_PREFIX}{info.version}")
                        sync_folder(self._root)
                        shutil.rmtree(gone)
                        removed += 1
        return removed

    # ------------------------------------------------------------------------ the active one
    def active(self) -> ActiveVersion:
        """The base version, sequence 0, where nothing was activated. ArtifactError("version_pointer_invalid")."""
        record = self._pointer.read()
        return ActiveVersion(self.base_version, 0) if record is None else record.active()

    def audit_head(self) -> str | None:
        """Digest of the audit entry that the last activation was written after; None without one."""
        record = self._pointer.read()
        return None if record is None else record.audit_head

    def stamp(self) -> Stamp | None:
        """Cheap, and another one whenever the pointer was switched."""
        return self._pointer.stamp()

    def activate(
        self,
        version: str,
        *,
        by: str,
        run_id: str | None = None,
        expected: str | None = None,
        audit_head: str | None = None,
    ) -> ActiveVersion:
        """Switch the pointer; durable when it returns. Activating the active version changes nothing.

        NotFoundError("version_not_found"); ArtifactError version_damaged or version_encoder_mismatch; where `expected`
        is given and is not the active version, ConflictError("version_changed", active=), or ArtifactError
        ("version_pointer_invalid") where nobody can say. Without `expected` a damaged pointer is replaced.
        """
        self.verify(version)
        self._check_reads_the_same(version)
        with as_storage_failures():
            self._root.mkdir(parents=True, exist_ok=True)
            with locked(self._root / _LOCK_NAME):
                present = self._present(expected)
                if present is not None and present.version == version:
                    return present
                self.folder(version)  # still there: a run may have withdrawn it since it was verified
                return self._pointer.switch(Activation(version, by, run_id, audit_head, self._clock())).active()

    def _present(self, expected: str | None) -> ActiveVersion | None:
        """The active version; None where the pointer is damaged and that does not matter."""
        try:
            present = self.active()
        except ArtifactError:
            if expected is not None:
                raise
            return None
        if expected is not None and present.version != expected:
            raise ConflictError("version_changed", active=present.version)
        return present

    def _check_reads_the_same(self, version: str) -> None:
        if evidence_identity(self.folder(version)) != evidence_identity(self._base):
            raise ArtifactError("version_encoder_mismatch", version=version)
