"""A service to measure: one that runs already, or one started for the purpose and stopped afterwards."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.evaluation.cgroup import MemoryGroup

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class MeasuredService:
    """Where it listens; its process id and seconds from start to ready where we started it."""

    url: str
    pid: int | None = None
    ready_s: float | None = None

    def resident_mb(self) -> float | None:
        """Resident memory of the process in MB (10^6 bytes); None for a service that we did not start."""
        if self.pid is None:
            return None
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        return None


@contextlib.contextmanager
def measured_service(
    url: str | None, env: Mapping[str, str], timeout_s: float = 120.0, group: MemoryGroup | None = None
) -> Iterator[MeasuredService]:
    """The service at `url`, or a fresh one with these settings, ready. RuntimeError when it does not get ready.

    `group` limits the memory of a fresh one.
    """
    if url is not None:
        yield MeasuredService(url.rstrip("/"))
        return
    with tempfile.TemporaryDirectory(prefix="medmodal-") as folder:
        address = f"http://127.0.0.1:{(port := _free_port())}"
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": f"sqlite:///{folder}/medmodal.db",
            "CACHE_DIR": f"{folder}/cache",
            "VERSIONS_DIR": f"{folder}/versions",
            "LOG_LEVEL": "WARNING",
            "API_KEYS": "",
            **env,
        }
        command = [sys.executable, "-m", "app"]
        started = time.monotonic()
        process = subprocess.Popen(group.command(command) if group else command, env={**os.environ, **settings})
        try:
            _wait_ready(process, address, started + timeout_s)
            yield MeasuredService(address, process.pid, time.monotonic() - started)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(process: subprocess.Popen[bytes], address: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service stopped with exit code {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/health/ready", timeout=2.0).status_code == httpx.codes.OK:
                return
        time.sleep(_POLL_S)
    raise RuntimeError("the service did not get ready in time")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
