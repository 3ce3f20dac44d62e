"""Imports point one way, and heavy or foreign libraries stay where they belong. Read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"

BASE = {"adaptation", "domain", "errors"}
PARTS = {"encoders", "fusion", "knowledge", "media", "storage"}
OFFLINE = {"conversion", "learning", "training", "evaluation"}
"""Never imported by the process that answers."""

ALLOWED: dict[str, set[str]] = {
    "adaptation": {"domain"},
    "domain": set(),
    "errors": set(),
    "memory": set(),
    "control_groups": set(),
    "patience": set(),
    "processes": set(),
    "media": BASE,
    "encoders": BASE,
    "knowledge": BASE,
    "storage": BASE,
    "fusion": BASE | {"encoders"},
    "versions": BASE | {"fusion"},
    "prepared": BASE | {"encoders", "memory"},
    "memory_plan": BASE | {"control_groups", "encoders", "media"},
    "services": BASE | PARTS | {"versions"},
    "api": BASE | {"services", "media", "memory", "memory_plan"},
}
"""Package or module of app/ -> what else of app/ it may import."""
WIRING = {"main", "wiring", "server", "__main__", "settings", "observability", "served", "serve", "serving_version"}
WIRING |= {"activate", "purge", "verify"}
"""The top: may import anything but what is offline."""
SETTINGS_READERS = {"main", "wiring", "__main__", "activate", "purge", "verify"}

FOREIGN: dict[str, set[str]] = {
    "torch": {"fusion"},
    "safetensors": {"fusion"},
    "onnxruntime": {"encoders", "prepared"},
    "tokenizers": {"encoders"},
    "PIL": {"media", "encoders"},
    "av": {"media"},
    "pydicom": {"media"},
    "yaml": {"knowledge"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "fastapi": {"api", "main"},
    "starlette": {"api", "main", "server"},
    "python_multipart": {"api"},
    "prometheus_client": {"api"},
    "uvicorn": {"server"},
    "h11": {"server"},
    "pydantic_settings": {"settings"},
    "transformers": set(),
    "onnx": {"encoders", "memory_plan"},
    "optimum": set(),
    "peft": set(),
    "requests": set(),
    "httpx": set(),
    "urllib3": set(),
    "huggingface_hub": set(),
}
"""Library -> the only packages of the serving process that may import it."""


class Import(NamedTuple):
    owner: str
    """First name below app/ of the file that imports."""
    target: str
    """Dotted name of what is imported."""
    where: str


def _owner(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


@cache
def imports() -> tuple[Import, ...]:
    """Every import below app/, inside functions too; those for type checkers alone are left out."""
    return tuple(item for path in sorted(APP.rglob("*.py")) for item in _imports_of(path))


def _imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            yield Import(_owner(path), target, f"{path.relative_to(ROOT)}:{node.lineno}")


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_package_has_its_place() -> None:
    owners = {_owner(path) for path in APP.rglob("*.py")} - {"__init__"}
    assert owners <= set(ALLOWED) | WIRING | OFFLINE


@pytest.mark.parametrize("owner", sorted(ALLOWED))
def test_imports_point_one_way(owner: str) -> None:
    mine = [item for item in imports() if item.owner == owner and item.target.startswith("app.")]
    for item in mine:
        target = item.target.split(".")[1]
        allowed = target == owner or target in ALLOWED[owner] or item.target == "app.__version__"
        assert allowed, f"{item.where} imports {item.target}"


def test_fusion_knows_of_encoders_only_what_a_manifest_says() -> None:
    for item in imports():
        if item.owner == "fusion" and item.target.startswith("app.encoders"):
            assert item.target.startswith("app.encoders.manifest"), item.where


@pytest.mark.parametrize("library", sorted(FOREIGN))
def test_libraries_stay_where_they_belong(library: str) -> None:
    for item in imports():
        if item.target.split(".")[0] == library and item.owner not in OFFLINE:
            assert item.owner in FOREIGN[library], f"{item.where} imports {library}"


def test_nothing_that_answers_imports_what_is_offline() -> None:
    for item in imports():
        if item.owner not in OFFLINE and item.target.startswith("app."):
            assert item.target.split(".")[1] not in OFFLINE, item.where


def test_only_the_wiring_reads_settings() -> None:
    for item in imports():
        if item.target.startswith("app.settings") and item.owner not in OFFLINE:
            assert item.owner in SETTINGS_READERS, item.where


def test_the_environment_is_read_by_settings_alone() -> None:
    """`app/__init__.py` only writes to it: a switch that a library reads when it is imported."""
    for path in sorted(APP.rglob("*.py")):
        if _owner(path) in OFFLINE | {"__init__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"environ", "getenv"}, f"{path}:{node.lineno}"


def test_importing_the_service_is_light_and_does_nothing() -> None:
    """No torch, no transformers, no thread, no file handler: the process listens before it reads the models."""
    heavy = {"torch", "transformers", "app.conversion", "app.learning", "app.training"}
    code = (
        "import sys, threading, logging, app.__main__; "
        f"print(sorted({heavy!r} & set(sys.modules)), threading.active_count(), logging.getLogger().handlers)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.split() == ["[]", "1", "[]"]
