"""`python -m app`: read the settings, look at the artifacts, listen."""

from __future__ import annotations

import socket
import sys
import threading

import structlog

from app.errors import AppError
from app.main import create_app
from app.observability import configure_logging
from app.server import DrainingServer, WireLimits, server_config
from app.settings import Settings, is_loopback
from app.wiring import check_artifacts, check_database_url

EXIT_BAD_SETTINGS = 2
EXIT_NO_ARTIFACTS = 3
EXIT_NO_PORT = 4
BUILD_HINT = "`python scripts/build_embedded.py` builds the embedded pair"


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
    log = structlog.get_logger("app")
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{port}"
    example = f"curl -s {url}/api/v1/analyze -H 'Content-Type: application/json' -d '{{\"text\": \"가슴이 아파요\"}}'"
    log.info("listening", url=url, docs=f"{url}/docs", example=example)
    if settings.api_keys:
        log.info("authentication", keys=len(settings.api_keys))
    elif is_loopback(settings.host):
        log.warning("no_authentication", detail="API_KEYS is empty: listening on this machine only")
    else:
        log.warning("no_authentication", detail="ALLOW_UNAUTHENTICATED_NETWORK: anyone who reaches the port may call")


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"medmodal: {reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
