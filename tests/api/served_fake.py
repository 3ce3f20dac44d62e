"""A process with the application on stand-in components: python -m tests.api.served_fake PORT SECONDS_PER_CASE."""

from __future__ import annotations

import socket
import sys
import threading
import time

from app.main import create_app
from app.observability import configure_logging
from app.server import DrainingServer, WireLimits, server_config
from tests.api.harness import builder, settings
from tests.services.fakes import components


def main(port: int, seconds: float) -> None:
    configure_logging("INFO", "json")
    parts = components(before=lambda _case, _cancellation: time.sleep(seconds))
    stopping = threading.Event()
    chosen = settings(shutdown_timeout_s=10.0)
    app = create_app(chosen, build=builder(parts), stopping=stopping)
    config = server_config(app, "127.0.0.1", port, limits=WireLimits(100), shutdown_timeout_s=chosen.shutdown_timeout_s)
    listener = socket.create_server(("127.0.0.1", port))
    DrainingServer(config, stopping).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
