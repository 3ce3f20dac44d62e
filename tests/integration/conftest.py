"""The real service, as `python -m app`, on the embedded pair. Built here if `make` has not built it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.evaluation.service import MeasuredService
from tests.integration.process import ROOT, ServiceProcess


@pytest.fixture(scope="session")
def embedded_pair() -> Path:
    """models/embedded/build, up to date."""
    subprocess.run([sys.executable, "scripts/build_embedded.py"], cwd=ROOT, check=True)
    return ROOT / "models/embedded/build"


@pytest.fixture(scope="session")
def service_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Database, cache and log of `service`."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
def service(embedded_pair: Path, service_folder: Path) -> Iterator[MeasuredService]:
    """One for the whole session."""
    with ServiceProcess(service_folder, QUEUE_SIZE="8").start() as running:
        yield MeasuredService(running.url, running.process.pid, running.ready_s)


@pytest.fixture
def client(service: MeasuredService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60.0) as http:
        yield http
