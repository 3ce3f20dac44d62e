"""Ogg pages (RFC 3533): a file cut off inside a page decodes without an error, so it is looked for here."""

from __future__ import annotations

_HEADER = 27
_MAX_PAGES = 1_000_000


def is_cut_off(data: bytes) -> bool:
    """True where the last page claims more bytes than the file has. Bytes that are no page are FFmpeg's to judge."""
    position = 0
    for _ in range(_MAX_PAGES):
        if data[position : position + 4] != b"OggS":
            return False
        segments = data[position + _HEADER - 1 : position + _HEADER]
        if not segments:
            return True
        table = data[position + _HEADER : position + _HEADER + segments[0]]
        position += _HEADER + segments[0] + sum(table)
        if position > len(data):
            return True
        if position == len(data):
            return False
    return False
