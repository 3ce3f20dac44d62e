"""Optional API keys and admin keys: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from app.errors import AuthenticationError, ForbiddenError

_CALLER_CHARS = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """`caller` names a key without telling it; None where no key was needed."""

    caller: str | None
    is_admin: bool


class KeyRing:
    """The accepted keys, as digests. Without API keys everyone is let in: then the server listens on this machine only.

    An admin key is an API key that may do more. Without any key at all everyone is an admin, where `is_local`: nobody
    but this machine can call.
    """

    def __init__(self, keys: Iterable[str], admin_keys: Iterable[str] = (), *, is_local: bool = False) -> None:
        self._keys = tuple(_digest(key) for key in keys)
        self._admin_keys = tuple(_digest(key) for key in admin_keys)
        self._everyone_is_admin = is_local and not self._keys and not self._admin_keys

    def identify(self, request: Request) -> Identity:
        """AuthenticationError where API keys are set and none of them, or of the admin keys, is given."""
        given = _presented(request)
        digest = b"" if given is None else _digest(given)
        is_known, is_admin = _is_among(digest, self._keys), _is_among(digest, self._admin_keys)
        if not self._keys and not is_admin:
            return Identity(None, self._everyone_is_admin)
        if given is None:
            raise AuthenticationError("api_key_missing")
        if not (is_known or is_admin):
            raise AuthenticationError("api_key_wrong")
        return Identity(hashlib.sha256(b"caller:" + digest).hexdigest()[:_CALLER_CHARS], is_admin)

    def require_admin(self, request: Request) -> Identity:
        """AuthenticationError without a known key, ForbiddenError for one that is no admin's."""
        identity = self.identify(request)
        if identity.is_admin:
            return identity
        if not self._admin_keys:
            raise ForbiddenError("admin_keys_not_set")
        if identity.caller is None:  # cases need no key here, this does
            raise AuthenticationError("api_key_missing" if _presented(request) is None else "api_key_wrong")
        raise ForbiddenError("admin_key_required")


def _presented(request: Request) -> str | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key", "").strip() or None


def _is_among(digest: bytes, known: Sequence[bytes]) -> bool:
    matches = [hmac.compare_digest(digest, one) for one in known]  # no early exit: time tells nothing
    return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
