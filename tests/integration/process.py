"""The service as a process of its own on a folder of its own: it can be stopped, killed, and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 120.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class ServiceProcess:
    """`folder` holds database, cache and `service.log`, and outlives the process. Killed at the end of the block."""

    command = (sys.executable, "-m", "app")

    def __init__(self, folder: Path, **settings: str) -> None:
        self.log = folder / "service.log"
        self.database = folder / "medmodal.db"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.ready_s = 0.0
        self._launched = 0.0
        self._environment = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": f"sqlite:///{self.database}",
            "CACHE_DIR": str(folder / "cache"),
            "VERSIONS_DIR": str(folder / "versions"),
            "API_KEYS": "",
            "STORE_TEXT": "false",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    def start(self) -> Self:
        """Returns when it is ready."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """What it writes is added to `log`."""
        self._launched = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env={**os.environ, **self._environment}, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() - self._launched < READY_TIMEOUT_S, "it does not get ready"
            time.sleep(0.05)
        self.ready_s = time.monotonic() - self._launched

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2.0).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As if the power went: nothing is flushed, nobody is told."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
