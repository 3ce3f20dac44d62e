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
from app.memory_plan import MemoryPlan
from app.server import DrainingServer, WireLimits, server_config
from app.services.host import STEPS, Components, Progress
from app.settings import Settings
from tests.services.waiting import wait_until

KOREAN = "가슴 통증이 한 시간째 있어요"
ENGLISH = "chest pain for an hour"
ANALYZE, UPLOAD, FEEDBACK = "/api/v1/analyze", "/api/v1/analyze_upload", "/api/v1/feedback"
LEARNING, RUNS, VERSIONS = "/api/v1/learning", "/api/v1/learning/runs", "/api/v1/versions"


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
    memory: MemoryPlan | None = None,
    **options: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in this very loop."""
    app = create_app(settings(**options), build=build or builder(parts), stopping=stopping, memory=memory)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            if wait:
                await until_ready(client)
            yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - the load runs in a thread
            await asyncio.sleep(0.005)


@contextmanager
def live_server(parts: Components, **options: Any) -> Iterator[str]:
    """The application behind a real socket, ready; yields its address. Stops by draining."""
    with serving(settings(**options), builder(parts)) as address:
        wait_until(lambda: loaded(address).status_code == 200)
        yield address


@contextmanager
def serving(chosen: Settings, build: Any, limits: WireLimits | None = None) -> Iterator[str]:
    """The same with any `build`, listening but perhaps not ready."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = create_app(chosen, build=build, stopping=stopping)
    limits = limits or WireLimits(chosen.max_connections)
    config = server_config(app, "127.0.0.1", port, limits=limits, shutdown_timeout_s=chosen.shutdown_timeout_s)
    server = DrainingServer(config, stopping)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def loaded(address: str) -> httpx.Response:
    """What /health/ready says once the load is over, well or not."""
    deadline = time.monotonic() + 60
    while (answer := httpx.get(f"{address}/health/ready", timeout=10)).json()["status"] == "loading":
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)
    return answer
