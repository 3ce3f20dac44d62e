"""Optional API keys: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.requests import Request

from app.errors import AuthenticationError

_CALLER_CHARS = 16


class KeyRing:
    """The accepted keys, as digests. An empty ring lets everyone in: then the server listens on this machine only."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def caller(self, request: Request) -> str | None:
        """A name for the caller's key that does not tell the key; None where no key is needed. AuthenticationError."""
        if not self._digests:
            return None
        given = _presented(request)
        if given is None:
            raise AuthenticationError("api_key_missing")
        digest = _digest(given)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # no early exit: time tells nothing
        if not any(matches):
            raise AuthenticationError("api_key_wrong")
        return hashlib.sha256(b"caller:" + digest).hexdigest()[:_CALLER_CHARS]


def _presented(request: Request) -> str | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key", "").strip() or None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
