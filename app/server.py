"""The HTTP/1.1 server: uvicorn, taught to drain, to speak in problems by itself too, and to hang up on stallers."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.messages.catalogue import problem_detail, problem_title
from app.api.problems import MEDIA_TYPE, TYPE_PREFIX


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one connection may take; seconds."""

    max_connections: int
    head_s: float = 10.0
    """From opening, or from the end of the keep-alive time, to a whole request head."""
    keep_alive_s: int = 15
    """From an answer to the next request's first byte."""
    linger_s: float = 10.0
    """How long what is left of a refused body is read and dropped, so that the client gets to read its answer."""


class ProblemProtocol(H11Protocol):
    """uvicorn's protocol with time limits on request heads and on the rest of refused bodies, and our error body."""

    def __init__(self, *args: Any, limits: WireLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self._limits.max_connections:
            self._refuse(503, "too_many_connections", {"retry_after_s": 2})
            return
        self._head_timer = self.loop.call_later(self._limits.head_s, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        unread = self.conn.their_state is h11.SEND_BODY
        self._stop_timer()
        if not self.transport.is_closing():
            next_head_s = self._limits.keep_alive_s + self._limits.head_s
            delay = self._limits.linger_s if unread else next_head_s
            self._head_timer = self.loop.call_later(delay, self._close_if_idle)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "http_malformed", {})

    def _refuse(self, status: int, code: str, params: dict[str, str | int | float]) -> None:
        """The same problem body as everywhere, in English: there is no request to read a language from."""
        problem = {
            "type": TYPE_PREFIX + code,
            "title": problem_title(status, "en"),
            "status": status,
            "detail": problem_detail(code, "en", params),
            "code": code,
        }
        body = json.dumps(problem).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        if "retry_after_s" in params:
            headers.append(("retry-after", str(params["retry_after_s"])))
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class DrainingServer(uvicorn.Server):
    """Sets `stopping` at the first signal: cases in work are finished, new ones are refused, the exit status is 0.

    uvicorn's own handler raises the signal again at the end, which would end the process with the signal's status.
    """

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def end(self) -> None:
        """From any thread: as if a signal had come."""
        self._stopping.set()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def server_config(
    app: ASGIApp, host: str, port: int, *, limits: WireLimits, shutdown_timeout_s: float
) -> uvicorn.Config:
    """One process, HTTP/1.1 only, no access log of uvicorn's own, no word of what serves."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=partial(ProblemProtocol, limits=limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=max(1, round(shutdown_timeout_s)),
    )
