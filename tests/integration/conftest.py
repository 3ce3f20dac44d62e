"""The real service, as `python -m app`, on the embedded pair. Built here if `make` has not built it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.evaluation.service import MeasuredService, measured_service

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def embedded_pair() -> Path:
    """models/embedded/build, up to date."""
    subprocess.run([sys.executable, "scripts/build_embedded.py"], cwd=ROOT, check=True)
    return ROOT / "models/embedded/build"


@pytest.fixture(scope="session")
def service(embedded_pair: Path) -> Iterator[MeasuredService]:
    with measured_service(None, {"QUEUE_SIZE": "8", "LOG_LEVEL": "INFO"}) as running:
        yield running


@pytest.fixture
def client(service: MeasuredService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60.0) as http:
        yield http
