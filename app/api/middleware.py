"""Around every request: its id, log line and metrics, the guard against strangers' web pages, and the last net."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import REQUEST_ID_HEADER, RequestContext, context_of, open_context
from app.api.metrics import Metrics
from app.api.problems import CLIENT_GONE, problem_response

_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


class ContextMiddleware:
    """Opens the request's context, times and logs it; an exception that nobody expected becomes a 500 problem."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope)
        answer = _Answer(send, context)
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=context.request_id):
            try:
                await self._app(scope, receive, answer.send)
            except Exception as error:  # noqa: BLE001 - the last net: logged by type and place, answered as a 500
                structlog.get_logger("app.api").error("unexpected_error", error=type(error).__name__, exc_info=True)
                if not answer.status:
                    await problem_response(context, 500, "internal_error")(scope, receive, answer.send)
            finally:
                self._account(scope, context, answer.status or CLIENT_GONE, time.perf_counter() - started)

    def _account(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        route = _route(scope)
        self._metrics.request(scope["method"], route, status, seconds)
        if context.problem_code is not None:
            self._metrics.problem(context.problem_code)
        structlog.get_logger("app.access").info(
            "request",
            method=scope["method"] if scope["method"].isalpha() else "other",
            route=route,
            status=status,
            code=context.problem_code,
            ms=round(seconds * 1000, 1),
        )


class _Answer:
    """Passes the response on, with the headers that every one carries, and remembers its status."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._context.request_id
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


class BrowserGuard:
    """Keeps web pages of strangers away from a server that asks for no key. Inside of `ContextMiddleware`.

    A page's own name can be made to resolve to this machine (DNS rebinding): with `local_only` a request has to name
    this machine. A page can also post a form across sites without asking first: its Origin has to be this machine, the
    very server it calls, or one of `origins`. Callers that are not browsers send no Origin.
    """

    def __init__(self, app: ASGIApp, *, local_only: bool, origins: Iterable[str]) -> None:
        self._app = app
        self._local_only = local_only
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._local_only and not _is_this_machine(headers.get("host", "")):
            refusal = problem_response(context_of(Request(scope)), 421, "host_not_allowed")
            await refusal(scope, receive, send)
        elif scope["method"] == "POST" and not self._is_welcome(headers):
            refusal = problem_response(context_of(Request(scope)), 403, "origin_not_allowed")
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_welcome(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        scheme, _, authority = origin.partition("://")
        if scheme not in {"http", "https"}:
            return False
        return _is_this_machine(authority) or authority == headers.get("host")


def _is_this_machine(authority: str) -> bool:
    """`localhost` or a loopback address, with any port or none."""
    try:
        parts = urlsplit(f"//{authority}")
        if parts.netloc != authority or "@" in authority or (parts.port is None and authority.endswith(":")):
            return False
        name = parts.hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:  # no address, or no port
        return False


class HeadMiddleware:
    """HEAD is GET without the body (RFC 9110, section 9.3.2): routes declare GET only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"}
        await self._app(inner, receive, without_body)
        if "route" in inner:  # the log names the route, and this copy is where the router left it
            scope["route"] = inner["route"]


def _route(scope: Scope) -> str:
    """The route's template; never the path itself, which a caller can fill with anything."""
    return str(getattr(scope.get("route"), "path", "unmatched"))
