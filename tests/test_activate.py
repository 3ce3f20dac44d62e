"""`python -m app.activate`: the operator's way to another version, with no service running."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.activate import main
from app.services.activation import ACTIVATED, ACTIVATING, NOT_ACTIVATED
from app.storage.audit import AuditLog
from app.storage.database import open_database
from app.versions.registry import VersionRegistry
from tests.versions.folders import publish, write_fusion

ROOT = Path(__file__).parents[1]


class Place:
    """Settings of a folder of its own, its registry and its audit log."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = folder / "versions"
        self.database_url = f"sqlite:///{folder}/rows.db"
        self.registry = VersionRegistry(self.root, write_fusion(folder / "fusion", "base"))
        monkeypatch.chdir(folder)
        monkeypatch.setenv("VERSIONS_DIR", str(self.root))
        monkeypatch.setenv("FUSION_WEIGHTS_PATH", str(folder / "fusion"))
        monkeypatch.setenv("DATABASE_URL", self.database_url)

    def audit(self) -> list[tuple[str, str, str]]:
        database = open_database(self.database_url)
        try:
            log = AuditLog(database)
            assert log.verify(self.registry.audit_head()).reason is None
            return [(entry.actor, entry.action, entry.subject) for entry in log.entries()]
        finally:
            database.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield Place(tmp_path, monkeypatch)
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def test_a_version_and_back_to_the_base_each_with_its_entries(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    version, base = publish(place.registry, "one"), place.registry.base_version
    assert main([version]) == 0
    assert place.registry.active().version == version
    assert place.registry.active().activated_by == "operator"
    assert place.registry.active().run_id == "run_1"
    assert f"active: {version}, activation 1" in capsys.readouterr().out
    assert main(["base"]) == 0
    assert (place.registry.active().version, place.registry.active().sequence) == (base, 2)
    assert place.audit() == [
        ("operator", ACTIVATING, version),
        ("operator", ACTIVATED, version),
        ("operator", ACTIVATING, base),
        ("operator", ACTIVATED, base),
    ]


def test_what_is_active_already_is_not_written_down_again(place: Place) -> None:
    version = publish(place.registry, "one")
    assert [main([version]), main([version])] == [0, 0]
    assert len(place.audit()) == 2


def test_a_version_that_must_not_be_served_is_refused_and_nothing_changes(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    hurt = publish(place.registry, "hurt")
    weights = place.registry.folder(hurt) / "weights.safetensors"
    weights.chmod(0o644)
    weights.write_text("damaged")
    assert main([hurt]) == 1
    assert "version_damaged" in capsys.readouterr().err
    assert main(["0" * 12]) == 1
    assert "version_not_found" in capsys.readouterr().err
    assert place.registry.active().sequence == 0
    assert place.audit() == [("operator", ACTIVATING, hurt), ("operator", NOT_ACTIVATED, hurt)]


def test_a_damaged_pointer_is_repaired_by_choosing_anew(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    version = publish(place.registry, "one")
    main([version])
    (place.root / "active.json").write_text("{")
    assert main([]) == 1
    shown = capsys.readouterr()
    assert version in shown.out, "the list is what one chooses from"
    assert "version_pointer_invalid" in shown.err
    assert main([version]) == 0
    assert place.registry.active().version == version


def test_the_list_marks_the_active_version_and_the_base(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    version, base = publish(place.registry, "one"), place.registry.base_version
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"  {version}  2026-11-21 09:30 UTC  from {base}, run_1", f"* {base}  base"]
    assert not (place.root.parent / "rows.db").exists(), "looking opens no database"


def test_a_database_that_cannot_be_written_keeps_the_version(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """No activation without its entry."""
    version = publish(place.registry, "one")
    monkeypatch.setenv("DATABASE_URL", "sqlite:////proc/none/rows.db")
    assert main([version]) == 1
    assert place.registry.active().sequence == 0


def test_a_bad_setting_is_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "eighty")
    assert main([]) == 2
    assert "PORT" in capsys.readouterr().err


def test_the_command_reads_no_network(place: Place) -> None:
    code = "import sys, app.activate; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
