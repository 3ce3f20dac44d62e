"""Runs the real application on stand-in components: in process over ASGI, or behind a real socket in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from app.main import create_app
from app.server import DrainingServer, server_config
from app.services.host import STEPS, Components, Progress
from app.settings import Settings

KOREAN = "가슴 통증이 한 시간째 있어요"
ENGLISH = "chest pain for an hour"
ANALYZE, UPLOAD, FEEDBACK = "/api/v1/analyze", "/api/v1/analyze_upload", "/api/v1/feedback"


def settings(**overrides: Any) -> Settings:
    """Settings of a test: no `.env`, and the suite's own defaults."""
    return Settings(_env_file=None, **{"request_timeout_s": 5.0, "body_timeout_s": 2.0, **overrides})


def builder(parts: Components) -> Any:
    """A `build` that reports every step and hands out `parts`."""

    def build(_settings: Settings, progress: Progress) -> Components:
        for step in STEPS:
            progress(step)
        return parts

    return build


@asynccontextmanager
async def asgi_client(
    parts: Components | None,
    *,
    build: Any = None,
    wait: bool = True,
    stopping: threading.Event | None = None,
    **options: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in this very loop."""
    app = create_app(settings(**options), build=build or builder(parts), stopping=stopping)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            if wait:
                await until_ready(client)
            yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - the load runs in a thread
            await asyncio.sleep(0.005)


@contextmanager
def live_server(parts: Components, **options: Any) -> Iterator[str]:
    """The application behind a real socket; yields its address. Stops by draining."""
    stopping = threading.Event()
    chosen = settings(**options)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = create_app(chosen, build=builder(parts), stopping=stopping)
    config = server_config(
        app, "127.0.0.1", port, max_connections=chosen.max_connections, shutdown_timeout_s=chosen.shutdown_timeout_s
    )
    server = DrainingServer(config, stopping)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_ready(address)
        yield address
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def _wait_ready(address: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("the server did not get ready")
