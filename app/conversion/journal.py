"""What an interrupted conversion has finished, so that the next one goes on instead of beginning again.

A JSON line names the conversion (its identity); every further line is one finished section of one file: a decoder
layer, a tower's block, some rows of the token embedding. A line is written and flushed after the data that it speaks
of, so that it never promises more than the disk holds. A torn last line, and everything behind it, counts for nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

_CHUNK = 1 << 22


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Header(_Line):
    identity: str


class TensorRecord(_Line):
    """Where one tensor of an external data file lies; `dtype` as numpy names it, offset and length in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


class Section(_Line):
    """Bytes [start, stop) of a file, with the SHA-256 over them and the tensors inside."""

    file: str
    name: str
    start: int
    stop: int
    sha256: str
    tensors: tuple[TensorRecord, ...] = ()


class Journal:
    """The finished sections of one conversion, in the order in which they were written."""

    def __init__(self, path: Path, identity: str, sections: list[Section]) -> None:
        """Use `open`."""
        self._path = path
        self._identity = identity
        self._sections = sections

    @classmethod
    def open(cls, path: Path, identity: str) -> Self:
        """Read the journal; it is empty where there is none, or one of another identity."""
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return cls(path, identity, list(_sections(lines[:-1], identity)))

    @property
    def bytes(self) -> int:
        """Of all sections: what `keep_whole` reads."""
        return sum(section.stop - section.start for section in self._sections)

    def of(self, file: str) -> tuple[Section, ...]:
        """The finished sections of one file."""
        return tuple(section for section in self._sections if section.file == file)

    def keep_whole(self, folder: Path, on_read: Callable[[int], None]) -> None:
        """Read every section again and forget those whose bytes are not there, with all behind them in their file.

        `on_read` hears the bytes read. Writes the journal, so that it can be added to.
        """
        files = dict.fromkeys(section.file for section in self._sections)
        self._sections = [section for file in files for section in _whole(folder / file, self.of(file), on_read)]
        written = self._path.with_name(f"{self._path.name}.new")
        with written.open("wb") as handle:
            for line in (_Header(identity=self._identity), *self._sections):
                handle.write(_encoded(line))
            handle.flush()
            os.fsync(handle.fileno())
        written.replace(self._path)

    def append(self, section: Section) -> None:
        """Add a section whose data is on disk."""
        with self._path.open("ab", buffering=0) as handle:
            handle.write(_encoded(section))
            os.fsync(handle.fileno())
        self._sections.append(section)


def _encoded(line: _Line) -> bytes:
    return line.model_dump_json().encode() + b"\n"


def _sections(lines: list[bytes], identity: str) -> Iterator[Section]:
    """The whole lines of a journal of this identity, up to the first damaged one."""
    try:
        if not lines or _Header.model_validate_json(lines[0]).identity != identity:
            return
        for line in lines[1:]:
            yield Section.model_validate_json(line)
    except ValidationError:
        return


def _whole(path: Path, sections: tuple[Section, ...], on_read: Callable[[int], None]) -> Iterator[Section]:
    """The leading sections that follow on one another and whose bytes have the hash that was written down."""
    if not path.is_file():
        return
    position = 0
    with path.open("rb", buffering=0) as handle:
        for section in sections:
            if section.start != position or _hash(handle.read, section.stop - section.start, on_read) != section.sha256:
                return
            position = section.stop
            yield section


def _hash(read: Callable[[int], bytes | None], length: int, on_read: Callable[[int], None]) -> str:
    """SHA-256 over the next `length` bytes, or over as many as there are."""
    digest = hashlib.sha256()
    while length > 0 and (part := read(min(length, _CHUNK))):
        digest.update(part)
        length -= len(part)
        on_read(len(part))
    return digest.hexdigest() if length == 0 else ""
