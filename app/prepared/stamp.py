"""`prepared.json`: what a prepared folder was made from and for which host, and whether it still is that."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Self

import onnxruntime as ort
from pydantic import BaseModel, ConfigDict, ValidationError

from app.encoders.manifest import Manifest, file_sha256

STAMP_NAME = "prepared.json"
FORMAT = "1"
_CPU_INFO = Path("/proc/cpuinfo")
_KEY_CHARS = 16


class FileState(BaseModel):
    """A file as it was when its contents were known to be right."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> Self:
        """Hashes the file unless its hash is given."""
        state = path.stat()
        return cls(size=state.st_size, mtime_ns=state.st_mtime_ns, sha256=sha256 or file_sha256(path))

    def untouched(self, path: Path) -> bool:
        """Same size and time of change: taken as the same contents, without reading gigabytes at every start."""
        try:
            state = path.stat()
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (self.size, self.mtime_ns)

    def holds(self, path: Path) -> bool:
        """Untouched, or touched and found to have the same contents."""
        return self.untouched(path) or (path.is_file() and file_sha256(path) == self.sha256)


class Identity(BaseModel):
    """What the bytes of a prepared folder depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: str
    manifest: str
    """Digest of the served manifest: weights and cut layer."""
    onnxruntime: str
    processor: str

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(format=FORMAT, manifest=manifest.digest, onnxruntime=ort.__version__, processor=processor_digest())

    @property
    def key(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:_KEY_CHARS]


class GraphRecord(BaseModel):
    """Beside a finished graph of a folder that is still being made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files: dict[str, FileState]


class Stamp(BaseModel):
    """Written last: a folder without one is not used."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    identity: Identity
    source: str
    """Folder that it was made from."""
    cut_layer: int
    sources: dict[str, FileState]
    files: dict[str, FileState]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """None where there is none, or none that can be read."""
        try:
            return cls.model_validate_json((folder / STAMP_NAME).read_bytes())
        except (OSError, ValidationError):
            return None

    def describes(self, folder: Path, identity: Identity) -> bool:
        """Whether the folder is what the stamp says, and for this host."""
        return self.identity == identity and all(state.holds(folder / name) for name, state in self.files.items())


def processor_digest(info: Path = _CPU_INFO) -> str:
    """Architecture and instruction sets: kernels, and the layouts that they read, are chosen by them."""
    flags = ""
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    sets = " ".join(sorted(flags.partition(":")[2].split()))
    return hashlib.sha256(f"{platform.machine()} {sets}".encode()).hexdigest()[:_KEY_CHARS]
