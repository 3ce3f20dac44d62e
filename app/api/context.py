"""What is known of one HTTP request while it is answered: its id, and the language to answer errors in."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from app.api.language import accepted_language
from app.domain import Language

REQUEST_ID_HEADER = "x-request-id"
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SCOPE_KEY = "medmodal.context"


@dataclass(slots=True)
class RequestContext:
    """`language` starts as Accept-Language's; a route sets it once the body's own is known."""

    request_id: str
    language: Language
    problem_code: str | None = None
    """The code of the problem that was answered, for the log and the metrics."""


def open_context(scope: Scope) -> RequestContext:
    """Make the context of a new request and leave it in its scope."""
    headers = Headers(scope=scope)
    given = headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    context = RequestContext(request_id, accepted_language(headers.get("accept-language", "")) or "en")
    scope[_SCOPE_KEY] = context
    return context


def context_of(request: Request) -> RequestContext:
    return cast(RequestContext, request.scope[_SCOPE_KEY])
