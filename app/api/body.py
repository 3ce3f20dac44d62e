"""Reads a request body: bounded in bytes while it streams, in seconds as a whole, and in memory over all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic_core import from_json
from starlette.requests import Request

from app.errors import (
    MalformedRequestError,
    OverloadedError,
    PayloadTooLargeError,
    SlowRequestError,
    UnsupportedMediaError,
)

BODIES_IN_MEMORY = 3
"""How many bodies of the largest size are held at once; small ones hardly count."""
JSON_TYPES = "application/json"
MULTIPART_TYPES = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    max_bytes: int
    timeout_s: float


class BodyBudget:
    """Bytes of all bodies that are being read or answered. Event loop only."""

    def __init__(self, total_bytes: int) -> None:
        self._free = total_bytes

    @contextmanager
    def lease(self) -> Iterator[BodyLease]:
        """Gives everything back that was taken inside the block."""
        lease = BodyLease(self)
        try:
            yield lease
        finally:
            self._free += lease.taken

    def take(self, count: int) -> None:
        """OverloadedError("server_busy") when the bodies held are too many bytes already."""
        if count > self._free:
            raise OverloadedError("server_busy", retry_after_s=2)
        self._free -= count


class BodyLease:
    """One request's share of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, count: int) -> None:
        self._budget.take(count)
        self.taken += count


async def read_body(request: Request, limits: BodyLimits, lease: BodyLease) -> bytes:
    """The whole body. PayloadTooLargeError, SlowRequestError, OverloadedError, UnsupportedMediaError."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaError("content_encoding_unsupported")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limits.max_bytes:
        raise PayloadTooLargeError("body_too_large", limit=limits.max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.timeout_s):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.max_bytes:
                    raise PayloadTooLargeError("body_too_large", limit=limits.max_bytes)
                lease.take(len(chunk))
                body += chunk
    except TimeoutError:
        raise SlowRequestError("body_timeout", seconds=limits.timeout_s) from None
    return bytes(body)


def require_content_type(request: Request, expected: str) -> None:
    """UnsupportedMediaError unless the body says that it is `expected`, in UTF-8 where it names a charset."""
    essence, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = next((part.split("=", 1)[1] for part in parameters.lower().split(";") if "charset=" in part), "utf-8")
    if essence.strip().lower() != expected or charset.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMediaError("content_type_unsupported", expected=expected)


def parse_json(body: bytes) -> object:
    """RFC 8259 in UTF-8, without NaN and Infinity, at most 200 levels deep. MalformedRequestError."""
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise MalformedRequestError("json_invalid") from None
    return value
