from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def embedded_pair() -> Path:
    """models/embedded/build, up to date."""
    subprocess.run([sys.executable, "scripts/build_embedded.py"], cwd=ROOT, check=True)
    return ROOT / "models/embedded/build"
