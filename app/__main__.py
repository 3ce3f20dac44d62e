"""`python -m app`: read the settings, look at the artifacts, listen."""

from __future__ import annotations

import socket
import sys
import threading

import structlog

from app.errors import AppError
from app.main import create_app
from app.memory import return_large_blocks
from app.observability import configure_logging
from app.server import DrainingServer, WireLimits, server_config
from app.settings import Settings, is_loopback
from app.wiring import check_artifacts, check_database_url

EXIT_BAD_SETTINGS = 2
EXIT_NO_ARTIFACTS = 3
EXIT_NO_PORT = 4
BUILD_HINT = "`make models` builds the embedded pair"


def main() -> int:
    """The exit status: 2 for a bad setting, 3 for missing models, 4 for a port that cannot be had."""
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
        check_artifacts(settings)
    except AppError as error:
        return _refuse(f"{error}; {BUILD_HINT}", EXIT_NO_ARTIFACTS)
    try:
        listener = _bind(settings.host, settings.port)
    except OSError as error:
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", EXIT_NO_PORT)
    _serve(settings, listener)
    return 0


def _serve(settings: Settings, listener: socket.socket) -> None:
    stopping = threading.Event()
    app = create_app(settings, stopping=stopping)
    config = server_config(
        app,
        settings.host,
        settings.port,
        limits=WireLimits(settings.max_connections),
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )
    _announce(settings, listener.getsockname()[1])
    DrainingServer(config, stopping).run(sockets=[listener])


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
