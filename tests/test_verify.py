"""`python -m app.verify`: sound while all is as it was, and what it says of each thing that is not."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from app.adaptation import ActiveVersion
from app.services.activation import ACTIVATED, ACTIVATING, activate_version
from app.storage.audit import AuditLog
from app.storage.database import open_database
from app.storage.runs import RunRepository
from app.verify import main, verify
from app.versions.registry import VersionRegistry
from tests.storage.learning_samples import ended, use, verdict
from tests.versions.folders import publish, write_fusion

ROOT = Path(__file__).parents[1]


class Place:
    """A database and a registry: two versions, the second one active, made by a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "versions"
        self.database_url = f"sqlite:///{folder}/rows.db"
        self.database = open_database(self.database_url)
        self.log = AuditLog(self.database)
        self.registry = VersionRegistry(self.root, write_fusion(folder / "fusion", "base"))
        self.first, self.second = publish(self.registry, "one"), publish(self.registry, "two")
        self.run_id = ended(RunRepository(self.database), [use(verdict(self.database))], candidate=self.first)
        for version in (self.first, self.second):
            self.activate(version)

    def activate(self, version: str) -> ActiveVersion:
        return activate_version(self.registry, self.log, version, by="operator")

    def faults(self) -> list[str]:
        """`<subject>: <fault>` of whatever is not sound."""
        findings = verify(self.database, self.registry)
        return [f"{finding.subject}: {finding.fault}" for finding in findings if finding.fault is not None]

    def tamper(self, statement: str, **values: str) -> None:
        with self.database.writing() as session:
            session.execute(text("DROP TRIGGER IF EXISTS audit_log_no_update"))
            session.execute(text("DROP TRIGGER IF EXISTS audit_log_no_delete"))
            session.execute(text(statement), values)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    made = Place(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in environment(made).items():
        monkeypatch.setenv(name, value)
    yield made
    made.database.close()
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def environment(place: Place) -> dict[str, str]:
    return {
        "DATABASE_URL": place.database_url,
        "VERSIONS_DIR": str(place.root),
        "FUSION_WEIGHTS_PATH": str(place.folder / "fusion"),
    }


# --- the command
def test_a_sound_place_is_said_to_be_sound(place: Place, capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith(": sound") for line in lines)
    assert lines[0].startswith("audit log: 10 entries, head ")
    assert lines[1] == f"pointer: active {place.second}, activation 2: sound"
    assert {line.split(": ")[1] for line in lines[2:5]} == {
        place.first,
        place.second,
        f"{place.registry.base_version} (base)",
    }
    assert lines[5] == "reports: 1 as they were decided on: sound"


def test_a_broken_place_is_told_in_json_too(place: Place, capsys: pytest.CaptureFixture[str]):
    place.tamper("UPDATE audit_log SET actor = 'nobody' WHERE sequence = 2")
    assert main(["--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["is_sound"] is False
    assert [finding["fault"] for finding in told["findings"] if finding["fault"]] == ["changed at entry 2"]


def test_a_database_that_is_not_there_is_not_made(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{place.folder}/mistyped.db")
    assert main([]) == 1
    assert "database_not_found" in capsys.readouterr().err
    assert not (place.folder / "mistyped.db").exists()


def test_a_bad_setting_is_one_line(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("medmodal: bad setting LOG_LEVEL")


def test_it_is_a_command(place: Place):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "app.verify"],
        cwd=place.folder,
        env={**environment(place), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- what is sound
def test_nothing_was_ever_activated(tmp_path: Path):
    database = open_database(f"sqlite:///{tmp_path}/rows.db")
    registry = VersionRegistry(tmp_path / "versions", write_fusion(tmp_path / "fusion", "base"))
    findings = verify(database, registry)
    database.close()
    assert [finding.fault for finding in findings] == [None] * 4
    assert findings[1].detail == f"active {registry.base_version}, activation 0"


def test_going_back_is_sound(place: Place):
    for version in (place.first, place.registry.base_version, place.second):
        place.activate(version)
        assert place.faults() == []


def test_a_kill_before_the_pointer_moved_is_sound(place: Place):
    place.log.append("operator", ACTIVATING, place.first, {})
    assert place.faults() == []


def test_a_kill_after_the_pointer_moved_is_sound(place: Place):
    intent = place.log.append("operator", ACTIVATING, place.first, {})
    place.registry.activate(place.first, by="operator", audit_head=intent.digest)
    assert place.faults() == []


def test_two_activations_at_once_are_sound_in_whatever_order_they_are_written_down(place: Place):
    base = place.registry.base_version
    intents = {version: place.log.append("operator", ACTIVATING, version, {}) for version in (place.first, base)}
    done = [place.registry.activate(version, by="a", audit_head=intents[version].digest) for version in intents]
    for active in reversed(done):
        place.log.append("operator", ACTIVATED, active.version, {"sequence": active.sequence})
    assert place.registry.active().version == base
    assert place.faults() == []


def test_an_activation_between_two_looks_is_no_fault(place: Place, monkeypatch: pytest.MonkeyPatch):
    """The pointer was read, then another version was activated, then the log was read."""
    usual, moved = AuditLog.verify, []

    def verify_after_an_activation(log: AuditLog, expected_head: str | None = None):
        if not moved:
            moved.append(place.activate(place.first))
        return usual(log, expected_head)

    monkeypatch.setattr(AuditLog, "verify", verify_after_an_activation)
    findings = verify(place.database, place.registry)
    assert moved
    assert [finding.fault for finding in findings if finding.fault] == []
    assert findings[1].detail == f"active {place.first}, activation 3"


# --- what is not
def test_a_file_of_a_version_was_changed(place: Place):
    weights = place.root / place.first / "adapter" / "weights"
    weights.chmod(0o644)
    weights.write_text("high rank", encoding="utf-8")
    (fault,) = place.faults()
    assert fault.startswith("version: version_damaged")
    assert "adapter/weights" in fault


def test_the_base_version_was_changed(place: Place):
    (place.folder / "fusion" / "config.json").write_text("{}", encoding="utf-8")
    assert any(fault.startswith("version: ") for fault in place.faults())


def test_the_last_entries_were_cut(place: Place):
    place.tamper("DELETE FROM audit_log WHERE sequence > 8")
    faults = place.faults()
    assert "audit log: cut at entry 9" in faults
    assert "pointer: the audit log knows nothing of this activation" in faults


def test_the_pointer_was_set_by_hand(place: Place):
    place.registry.activate(place.first, by="operator")
    assert place.faults() == ["pointer: the audit log knows nothing of this activation"]


def test_an_earlier_pointer_was_put_back(place: Place):
    shutil.copy(place.root / "previous.json", place.root / "active.json")
    (fault,) = place.faults()
    assert fault == f"pointer: the audit log says that {place.second} was activated last, in entry 10"


def test_the_pointer_was_removed(place: Place):
    (place.root / "active.json").unlink()
    (fault,) = place.faults()
    assert fault.startswith(f"pointer: the audit log says that {place.second} was activated last")


def test_the_pointer_is_damaged(place: Place):
    (place.root / "active.json").write_text("{}", encoding="utf-8")
    (fault,) = place.faults()
    assert fault.startswith("pointer: version_pointer_invalid")


def test_a_report_was_changed_after_the_decision(place: Place):
    place.tamper("UPDATE learning_runs SET report = :report", report='{"checks":[{"passed":true}]}')
    assert place.faults() == ["report: is not the one that was decided on in entry 5"]


def test_a_run_was_removed(place: Place):
    place.tamper("DELETE FROM learning_runs WHERE id = :run", run=place.run_id)
    assert place.faults() == ["report: the run is gone"]
