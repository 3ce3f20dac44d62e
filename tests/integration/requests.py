"""Requests as bytes, for what no client library would send, and the table row of a bad one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.media_samples import base64_of

ANALYZE, UPLOAD, FEEDBACK = "/api/v1/analyze", "/api/v1/analyze_upload", "/api/v1/feedback"
SECRET = "zxqSecretzxq"
"""Stands in every request where it can; no answer to a bad one, no log line and no stored row may hold it."""
JSON = {"Content-Type": "application/json"}
BOUNDARY = "b0undary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"--{BOUNDARY}--\r\n".encode()


class Wire(NamedTuple):
    """What is sent."""

    body: bytes
    path: str = ANALYZE
    headers: Mapping[str, str] = JSON
    method: str = "POST"


class Bad(NamedTuple):
    """A request that must be refused: `make` builds it when it is needed."""

    name: str
    status: int
    code: str
    make: Callable[[], Wire]
    pointer: str | None = None
    """Where the first of `errors` points; None where the problem has none."""


def raw(name: str, body: bytes, status: int = 400, code: str = "json_invalid") -> Bad:
    return Bad(name, status, code, lambda: Wire(body))


def case(name: str, value: Any, pointer: str, code: str = "validation_failed", status: int = 422) -> Bad:
    """A JSON value whose problem has a pointer."""
    return Bad(name, status, code, lambda: Wire(json.dumps(value).encode()), pointer)


def whole(name: str, value: Any, code: str = "case_empty", status: int = 422) -> Bad:
    """A JSON value whose problem is of the whole."""
    return Bad(name, status, code, lambda: Wire(json.dumps(value).encode()))


def media(field: str, name: str, status: int, code: str, make: Callable[[], bytes]) -> Bad:
    """A file in JSON; the problem points at its field."""
    return Bad(
        f"{field}: {name}", status, code, lambda: Wire(json.dumps({field: base64_of(make())}).encode()), f"/{field}"
    )


def feedback(name: str, value: Any, code: str, status: int = 422, pointer: str | None = None) -> Bad:
    return Bad(f"feedback: {name}", status, code, lambda: Wire(json.dumps(value).encode(), FEEDBACK), pointer)


def form(name: str, body: bytes, status: int, code: str, pointer: str | None = None, boundary: str = BOUNDARY) -> Bad:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return Bad(f"form: {name}", status, code, lambda: Wire(body, UPLOAD, headers), pointer)


def part(name: str, data: bytes, *, filename: str | None = None) -> bytes:
    extra = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"
