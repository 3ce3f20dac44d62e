"""What a WAV header claims, which FFmpeg replaces by a guess: how long it is, and whether that is there."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_UNKNOWN_FROM = 0x7FFF_0000
"""Programs that write to a pipe leave the largest size they know in the header."""
_MAX_CHUNKS = 1000


@dataclass(frozen=True, slots=True)
class WavClaim:
    """`seconds` that the data chunk claims (None: unknown) and the bytes that are really there."""

    seconds: float | None
    claimed_bytes: int | None
    present_bytes: int


def read_claim(data: bytes) -> WavClaim | None:
    """None where the file has no `fmt ` chunk followed by a `data` chunk."""
    position, bytes_per_second = 12, 0
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return None
        kind, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if kind == b"fmt " and position + 12 <= len(data):
            bytes_per_second = struct.unpack_from("<I", data, position + 8)[0]
        if kind == b"data":
            return _claim(size, len(data) - position, bytes_per_second)
        position += size + size % 2
    return None


def _claim(size: int, present: int, bytes_per_second: int) -> WavClaim | None:
    if bytes_per_second == 0:
        return None
    if size >= _UNKNOWN_FROM or (size == 0 and present > 0):
        return WavClaim(None, None, present)
    return WavClaim(size / bytes_per_second, size, present)
