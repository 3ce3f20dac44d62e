"""Parses a multipart/form-data body that is already in memory (RFC 7578): nothing is ever spooled to a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedRequestError, PayloadTooLargeError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 16


@dataclass(slots=True)
class Part:
    """One part; `is_blank_file` for a browser's file input that was left empty."""

    name: str
    is_file: bool
    has_filename: bool
    data: bytearray = field(default_factory=bytearray)

    @property
    def is_blank_file(self) -> bool:
        return self.is_file and not self.has_filename and not self.data


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts in order. MalformedRequestError for anything else than complete multipart, PayloadTooLargeError."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError):
        raise MalformedRequestError("multipart_invalid") from None
    if not collector.complete:
        raise MalformedRequestError("multipart_invalid")
    return collector.parts


class _Collector:
    """Receives the parser's events."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.complete = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise PayloadTooLargeError("multipart_too_many_parts", limit=MAX_PARTS)
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise MalformedRequestError("multipart_invalid")
        name = options[b"name"].decode("utf-8", errors="replace")
        self.parts.append(Part(name, b"filename" in options, bool(options.get(b"filename"))))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def _on_end(self) -> None:
        self.complete = True
