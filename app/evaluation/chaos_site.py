"""A service and a learner on a folder of their own, either of which may be killed and started again at any moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from app.errors import AppError
from app.settings import Settings
from app.storage.database import Database, open_database
from app.storage.runs import RunRepository
from app.versions.registry import VersionRegistry

ROOT = Path(__file__).resolve().parents[2]
LEARNER = (sys.executable, "-m", "app.learning.worker")
_READY_S = 180.0
_STOP_S = 60.0


class KillableProcess:
    """`log` holds what it writes, over all its lives."""

    def __init__(self, name: str, command: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self, **settings: str) -> None:
        """Nothing where it runs already. `settings` are kept for its later lives."""
        self._environment |= settings
        if self.pid is None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env={**os.environ, **self._environment},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def kill(self) -> None:
        """As if the power went: nothing is flushed, nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """As an operator does. RuntimeError where it does not end in time, or not in order.

        One that has only begun to start ends by the signal itself.
        """
        if self._process is None or self.pid is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the {self.name} did not end when it was told to") from None
        if status not in {0, -signal.SIGTERM}:
            raise RuntimeError(f"the {self.name} ended with status {status}")


class Site:
    """Database, versions, cache and logs of one service and one learner in `folder`. Killed at the end of the block."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        learner: tuple[str, ...] = LEARNER,
        logs: Path | None = None,
    ) -> None:
        """`learner`: the command that is started as one; `logs`: another folder for what both write."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := _free_port())}"
        self.environment = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": f"sqlite:///{folder}/medmodal.db",
            "VERSIONS_DIR": f"{folder}/versions",
            "CACHE_DIR": f"{folder}/cache",
            "API_KEYS": "",
            "ADMIN_KEYS": "",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self.service = KillableProcess(
            "service", (sys.executable, "-m", "app"), self.environment, (logs or folder) / "service.log"
        )
        self.learner = KillableProcess("learner", learner, self.environment, (logs or folder) / "learner.log")
        names = {name.upper(): name for name in Settings.model_fields}
        read = {names[name]: value for name, value in self.environment.items() if name in names}
        self.settings = Settings.load(**read)
        self.registry = VersionRegistry(self.settings.versions_dir, self.settings.fusion_weights_path)
        self.database: Database = open_database(self.settings.database_url)
        self.runs = RunRepository(self.database)

    def start(self) -> None:
        self.service.start()
        self.learner.start()

    def trainer_pid(self) -> int | None:
        """The learner's training process."""
        learner = self.learner.pid
        if learner is None:
            return None
        with suppress(OSError):
            children = Path(f"/proc/{learner}/task/{learner}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children else None
        return None

    def kill_trainer(self) -> bool:
        """Whether there was one."""
        pid = self.trainer_pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """RuntimeError where the service ended, or does not get ready in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.service.pid is None:
                raise RuntimeError("the service ended by itself")
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health/ready", timeout=5.0).status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
        raise RuntimeError("the service does not get ready")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the project with this site's settings."""
        return subprocess.run(
            (sys.executable, *arguments),
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def pointer_version(self) -> str:
        """ArtifactError where the pointer is damaged, or what it names is not whole."""
        version = self.registry.active().version
        self.registry.verify(version)
        return version

    def learning(self) -> dict[str, object]:
        """GET /api/v1/learning."""
        answer: dict[str, object] = httpx.get(f"{self.url}/api/v1/learning", timeout=30.0).raise_for_status().json()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.learner.kill()
        self.service.kill()
        with suppress(AppError):
            self.database.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
