"""`python -m app`: read the settings, look at the artifacts, listen."""

from __future__ import annotations

import socket
import sys
import threading

import structlog

from app.errors import AppError, ArtifactError
from app.main import create_app
from app.memory import return_large_blocks
from app.memory_plan import MemoryPlan, memory_table
from app.observability import configure_logging
from app.server import DrainingServer, WireLimits, server_config
from app.settings import Settings, is_loopback
from app.wiring import check_artifacts, check_database_url

EXIT_BAD_SETTINGS = 2
EXIT_REFUSED = 3
EXIT_NO_PORT = 4
BUILD_HINT = "`make models` builds the embedded pair"


def main() -> int:
    """The exit status: 2 for a bad setting, 3 for what must not be served, 4 for a port that cannot be had."""
    try:
        settings = Settings.load()
    except AppError as error:
        return _refuse(f"bad setting {error.params['setting']}: {error.params['reason']}", EXIT_BAD_SETTINGS)
    try:
        check_database_url(settings)
    except AppError as error:
        return _refuse(f"bad setting DATABASE_URL: {error.params['reason']}", EXIT_BAD_SETTINGS)
    configure_logging(settings.log_level, settings.log_format)
    return_large_blocks()
    try:
        plan = check_artifacts(settings)
    except AppError as error:
        return _refuse(_in_words(error), EXIT_REFUSED)
    try:
        listener = _bind(settings.host, settings.port)
    except OSError as error:
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", EXIT_NO_PORT)
    refused = _serve(settings, listener, plan)
    return 0 if refused is None else _refuse(_in_words(refused), EXIT_REFUSED)


def _serve(settings: Settings, listener: socket.socket, plan: MemoryPlan) -> ArtifactError | None:
    """Until a signal comes; or until the load finds what must not be served, which is returned."""
    stopping = threading.Event()
    refusals: list[ArtifactError] = []

    def refuse(error: ArtifactError) -> None:
        refusals.append(error)
        server.end()

    app = create_app(settings, stopping=stopping, memory=plan, on_refused=refuse)
    config = server_config(
        app,
        settings.host,
        settings.port,
        limits=WireLimits(settings.max_connections),
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )
    server = DrainingServer(config, stopping)
    _announce_memory(plan)
    _announce(settings, listener.getsockname()[1])
    server.run(sockets=[listener])
    return refusals[0] if refusals else None


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket; OSError where the address is taken or unknown."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _announce(settings: Settings, port: int) -> None:
    """For people on standard error, for programs in the log; both say whether a key is needed."""
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{port}"
    key = " -H 'X-API-Key: ...'" if settings.api_keys else ""
    example = (
        f"curl -s {url}/api/v1/analyze -H 'Content-Type: application/json'{key} -d '{{\"text\": \"가슴이 아파요\"}}'"
    )
    _say(f"listening on {url}, {_access(settings)}; try: {example}")
    structlog.get_logger("app").info("listening", url=url, access=_access(settings))


def _announce_memory(plan: MemoryPlan) -> None:
    """The same plan for people and for programs."""
    _say(memory_table(plan))
    parts = {part.name: part.bytes for part in plan.parts}
    log = structlog.get_logger("app")
    limit, name = plan.limit.bytes, plan.limit.name
    log.info("memory_plan", limit=limit, limited_by=name, needed=plan.needed, total=plan.total, parts=parts)


def _in_words(error: AppError) -> str:
    """One line; an error that has nothing but a reason says itself what to do."""
    if set(error.params) == {"reason"}:
        return f"{error.code}: {error.params['reason']}"
    return f"{error}; {BUILD_HINT}" if error.code.startswith("model_") else str(error)


def _access(settings: Settings) -> str:
    if settings.api_keys:
        return f"{len(settings.api_keys)} API key(s)"
    if is_loopback(settings.host):
        return "no API key set: this machine only"
    return "no API key set and reachable from the network: something else must guard this port"


def _refuse(reason: str, status: int) -> int:
    _say(reason)
    return status


def _say(line: str) -> None:
    sys.stderr.write(f"medmodal: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
