"""Every error as an RFC 9457 problem: the one table from exception class to status, and the body that a client sees.

A client is told a stable `code`, a sentence in its own language and the request id. It is never told what it sent, what
an exception said, or where a file lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from app.api.context import REQUEST_ID_HEADER, RequestContext, context_of
from app.api.messages.catalogue import Params, field_detail, problem_detail, problem_title
from app.api.validation import FieldError, ValidationFailedError, pointer_to
from app.errors import (
    AppError,
    ArtifactError,
    AuthenticationError,
    ConflictError,
    DeadlineError,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    SlowRequestError,
    StorageError,
    UnsupportedMediaError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:medmodal-fusion:problem:"
CLIENT_GONE = 499
"""Never sent: what the log and the metrics say of a client that went away."""

STATUS: Mapping[type[AppError], int] = {
    MalformedRequestError: 400,
    AuthenticationError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    SlowRequestError: 408,
    ConflictError: 409,
    PayloadTooLargeError: 413,
    UnsupportedMediaError: 415,
    InvalidInputError: 422,
    OverloadedError: 429,
    ArtifactError: 500,
    NotReadyError: 503,
    DeadlineError: 504,
    StorageError: 507,
}


def status_of(error: AppError) -> int:
    """By the nearest class in the table; 500 for a class that is not in it."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem_response(
    context: RequestContext,
    status: int,
    code: str,
    *,
    params: Params | None = None,
    fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The body and its headers; notes the code in the context."""
    language, params = context.language, params or {}
    context.problem_code = code
    body: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": problem_title(status, language),
        "status": status,
        "detail": problem_detail(code, language, params),
        "code": code,
        "request_id": context.request_id,
    }
    if fields:
        body["errors"] = [
            {"pointer": item.pointer, "code": item.code, "detail": field_detail(item.code, language, item.params)}
            for item in fields
        ]
    sent = {"Content-Language": language, "Cache-Control": "no-store", REQUEST_ID_HEADER: context.request_id}
    if isinstance(retry_after := params.get("retry_after_s"), int):
        sent["Retry-After"] = str(retry_after)
    return JSONResponse(body, status, {**sent, **(headers or {})}, media_type=MEDIA_TYPE)


def install_handlers(app: FastAPI) -> None:
    """Our errors and the framework's own; anything else is the context middleware's."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_client_gone)


async def _on_app_error(request: Request, error: Exception) -> Response:
    error = cast(AppError, error)
    context, status = context_of(request), status_of(error)
    if status == 500:  # a model that misbehaves: its code and paths are the operator's, not the client's
        structlog.get_logger("app.api").error("artifact_error", code=error.code, **error.params)
        return problem_response(context, status, "internal_error")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return problem_response(context, status, error.code, params=error.params, fields=_fields(error), headers=headers)


def _fields(error: AppError) -> Sequence[FieldError]:
    """Where in the body it is: media errors say `image[2]` in their `field`."""
    if isinstance(error, ValidationFailedError):
        return error.fields
    place = error.params.get("field")
    if not isinstance(place, str):
        return ()
    return (FieldError(pointer_to(*place.rstrip("]").split("[")), error.code, error.params),)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")  # a folder of files does not say that it takes GET alone
        return _wrong_method(request, set(allowed.split(", ")))
    code = "route_not_found" if error.status_code == 404 else "http_error"
    return problem_response(context_of(request), error.status_code, code, headers=error.headers)


def _wrong_method(request: Request, methods: set[str]) -> Response:
    """405 that says what is allowed; for OPTIONS that is the answer itself (RFC 9110, section 9.3.7)."""
    implied = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
    headers = {"Allow": ", ".join(sorted(methods | implied))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    return problem_response(context_of(request), 405, "method_not_allowed", headers=headers)


async def _on_client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)
