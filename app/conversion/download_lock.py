"""`<slot>.lock.json`: which commit of which repository a downloaded folder holds, and the hash of every file of it.

Written when the files to fetch are known, before the weights are. From then on nothing but these bytes is taken; the
same file on another machine asks for the same bytes there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.errors import ArtifactError

HUB_CACHE = Path(".cache/huggingface/download")
"""Where huggingface_hub keeps unfinished files and its own notes, inside the folder that it downloads into."""
READ_BYTES = 1 << 20
State = Literal["whole", "missing", "partial", "damaged"]
Layers = Annotated[int, Field(ge=1)]


def is_plain_name(name: str) -> bool:
    """A file of the folder itself: no path that leads out of it, no hidden file."""
    return name == Path(name).name and not name.startswith(".") and name != ""


def _plain(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError(name)
    return name


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LockedFile(_Model):
    """One file as the hub published it."""

    size: int = Field(ge=0)
    algorithm: Literal["sha256", "git-sha1"]
    """SHA-256 of the bytes (files in large-file storage), or the id of the git blob (all others)."""
    digest: str = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")
    verified: tuple[int, int, int] | None = None
    """Size, modification time in ns and inode of the file whose hash was found right: it is not read again for that."""

    def is_same_as(self, other: LockedFile) -> bool:
        return (self.size, self.algorithm, self.digest) == (other.size, other.algorithm, other.digest)

    def verify(self, path: Path) -> LockedFile | None:
        """Hash a file and flush it to disk; itself with `verified` set, or None where it holds other bytes."""
        stat = path.stat()
        if stat.st_size != self.size:
            return None
        algorithm = hashlib.sha256() if self.algorithm == "sha256" else hashlib.sha1(b"", usedforsecurity=False)
        if self.algorithm == "git-sha1":
            algorithm.update(f"blob {self.size}\0".encode())
        with path.open("rb") as handle:
            while part := handle.read(READ_BYTES):
                algorithm.update(part)
            os.fsync(handle.fileno())
        return self.model_copy(update={"verified": _stamp(path)}) if algorithm.hexdigest() == self.digest else None

    def is_verified(self, path: Path) -> bool:
        return path.is_file() and self.verified == _stamp(path)


class Lock(_Model):
    """`revision` is a commit; `layers` K says that only what the first K layers need is here (None: all)."""

    format_version: Literal[1] = 1
    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    layers: Layers | None
    files: dict[Annotated[str, AfterValidator(_plain)], LockedFile]

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """None where there is no such file. ArtifactError `download_lock_invalid` where it is damaged."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ArtifactError("download_lock_invalid", file=str(path)) from error

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(self.model_dump_json(indent=1) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)

    def with_file(self, name: str, file: LockedFile) -> Lock:
        return self.model_copy(update={"files": {**self.files, name: file}})


def partial_files(folder: Path, file: LockedFile) -> list[Path]:
    """Unfinished downloads of these bytes; huggingface_hub puts the hash into their name."""
    return sorted((folder / HUB_CACHE).glob(f"*.{file.digest}.incomplete"))


def bytes_here(folder: Path, name: str, file: LockedFile) -> int:
    """Bytes of a file that need not be fetched again, as far as its size tells."""
    path = folder / name
    if path.is_file() and path.stat().st_size == file.size:
        return file.size
    return min(file.size, sum(part.stat().st_size for part in partial_files(folder, file)))


def state_of(folder: Path, name: str, file: LockedFile, *, rehash: bool) -> tuple[State, LockedFile]:
    """What is there, and the file's entry with `verified` brought up to date. Hashes what it has not hashed before."""
    path = folder / name
    if not path.is_file():
        return ("partial" if bytes_here(folder, name, file) else "missing"), file
    if file.is_verified(path) and not rehash:
        return "whole", file
    verified = file.verify(path)
    return ("damaged", file.model_copy(update={"verified": None})) if verified is None else ("whole", verified)


def sweep(folder: Path, lock: Lock) -> None:
    """Remove what earlier downloads of other commits left: files that huggingface_hub noted as theirs, unfinished ones.

    Files of the lock's own commit stay, those of more layers too; so does what huggingface_hub did not put here.
    """
    digests = {file.digest for file in lock.files.values()}
    for part in (folder / HUB_CACHE).glob("*.incomplete"):
        if part.name.split(".")[-2] not in digests:
            part.unlink()
    for note in (folder / HUB_CACHE).glob("*.metadata"):
        name = note.name.removesuffix(".metadata")
        if name not in lock.files and note.read_text(encoding="utf-8").split("\n", 1)[0] != lock.revision:
            (folder / name).unlink(missing_ok=True)
            note.unlink()


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Be the only one that writes below `root`. ArtifactError `download_running` where another process does."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError("download_running", folder=str(root)) from error
        yield


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
