from pathlib import Path

import pytest

from app.versions.registry import VersionRegistry
from tests.versions.folders import WHEN, write_fusion


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_fusion(tmp_path / "fusion", "base")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def registry(root: Path, base: Path) -> VersionRegistry:
    return VersionRegistry(root, base, clock=lambda: WHEN)
