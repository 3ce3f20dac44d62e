"""The pointer: switching it, racing for it, and what is left of it after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.adaptation import ActiveVersion
from app.errors import AppError, ArtifactError, ConflictError, NotFoundError, StorageError
from app.versions.files import locked
from app.versions.registry import VersionRegistry
from tests.versions.folders import WHEN, publish, write_fusion
from tests.versions.test_registry import damage

ROOT = Path(__file__).parents[2]
HEAD = "d" * 64


def test_nothing_activated_is_the_base(registry: VersionRegistry) -> None:
    publish(registry, "one")
    assert registry.active() == ActiveVersion(registry.base_version, 0)
    assert (registry.stamp(), registry.audit_head()) == (None, None)
    assert registry.activate(registry.base_version, by="operator").sequence == 0


def test_an_activation_says_who_when_and_for_which_run(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    made = registry.activate(version, by="worker", run_id="run_1", audit_head=HEAD)
    assert made == registry.active() == ActiveVersion(version, 1, WHEN, "worker", "run_1")
    assert registry.audit_head() == HEAD


def test_activations_are_counted_rollback_too_and_the_stamp_changes_with_each(registry: VersionRegistry) -> None:
    one, two = publish(registry, "one"), publish(registry, "two")
    stamps = {registry.stamp()}
    for sequence, version in enumerate((one, two, one, registry.base_version), start=1):
        assert registry.activate(version, by="operator").sequence == sequence
        stamps.add(registry.stamp())
    assert len(stamps) == 5
    assert registry.active().version == registry.base_version


def test_activating_the_active_version_changes_nothing(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    first = registry.activate(version, by="a")
    stamp = registry.stamp()
    assert registry.activate(version, by="b") == first
    assert registry.stamp() == stamp


def test_whoever_expected_another_version_is_told_which_one_it_is(registry: VersionRegistry) -> None:
    one, two = publish(registry, "one"), publish(registry, "two")
    registry.activate(one, by="a", expected=registry.base_version)
    with pytest.raises(ConflictError) as caught:
        registry.activate(two, by="b", expected=registry.base_version)
    assert (caught.value.code, caught.value.params) == ("version_changed", {"active": one})
    assert registry.active().version == one


def test_what_is_damaged_unknown_or_reads_other_evidence_is_not_activated(registry: VersionRegistry) -> None:
    good, hurt = publish(registry, "good"), publish(registry, "hurt")
    deeper = publish(registry, "deeper", cut_layer=3)
    joint = publish(registry, "joint", layout="joint")
    registry.activate(good, by="a")
    damage(registry.folder(hurt) / "weights.safetensors")
    with pytest.raises(ArtifactError, match="version_damaged"):
        registry.activate(hurt, by="a")
    for other in (deeper, joint):
        with pytest.raises(ArtifactError, match="version_encoder_mismatch"):
            registry.activate(other, by="a")
    with pytest.raises(NotFoundError):
        registry.activate("0" * 12, by="a")
    assert registry.active().version == good


# ---------------------------------------------------------------------------- a damaged pointer
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": "x"}', "\xff"])
def test_a_damaged_pointer_is_said_and_never_taken_for_none(registry: VersionRegistry, root: Path, text: str) -> None:
    publish(registry, "one")
    (root / "active.json").write_text(text, encoding="latin-1")
    for look in (registry.active, registry.audit_head):
        with pytest.raises(ArtifactError, match="version_pointer_invalid"):
            look()


def test_a_pointer_that_somebody_edited_is_damaged(registry: VersionRegistry, root: Path) -> None:
    one, two = publish(registry, "one"), publish(registry, "two")
    registry.activate(one, by="a")
    path = root / "active.json"
    path.write_text(path.read_text().replace(one, two))
    with pytest.raises(ArtifactError, match="version_pointer_invalid"):
        registry.active()


def test_an_activation_repairs_the_pointer_and_the_count_goes_on(registry: VersionRegistry, root: Path) -> None:
    one, two = publish(registry, "one"), publish(registry, "two")
    for version in (one, two, one):
        registry.activate(version, by="a")
    (root / "active.json").write_text("{")
    with pytest.raises(ArtifactError, match="version_pointer_invalid"):
        registry.activate(two, by="a", expected=one)
    assert registry.activate(two, by="operator").sequence >= 3
    assert registry.active().version == two


def test_an_activation_repairs_the_pointer_where_the_one_before_is_damaged_too(
    registry: VersionRegistry, root: Path
) -> None:
    one, two = publish(registry, "one"), publish(registry, "two")
    for version in (one, two):
        registry.activate(version, by="a")
    for name in ("active.json", "previous.json"):
        (root / name).write_text("{")
    assert registry.activate(one, by="operator") == registry.active()
    assert registry.active().version == one


# ---------------------------------------------------------------------------- many at once
def test_a_version_that_is_withdrawn_meanwhile_is_not_pointed_to(
    registry: VersionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(registry, "one")

    def verify_then_lose(_registry: VersionRegistry, name: str) -> None:
        verify(name)
        assert registry.withdraw("run_1") == 1

    verify = registry.verify
    monkeypatch.setattr(VersionRegistry, "verify", verify_then_lose)
    monkeypatch.setattr(VersionRegistry, "_check_reads_the_same", lambda *_: None)
    with pytest.raises(NotFoundError, match="version_not_found"):
        registry.activate(version, by="a")
    assert registry.active() == ActiveVersion(registry.base_version, 0)


def test_a_lock_that_is_never_given_back_is_not_waited_for_for_ever(
    registry: VersionRegistry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(registry, "one")
    monkeypatch.setattr("app.versions.files._LOCK_WAIT_S", 0.05)
    with locked(root / ".lock"), pytest.raises(StorageError, match="storage_locked"):
        registry.activate(version, by="a")
    assert registry.activate(version, by="a").sequence == 1


def test_of_many_who_expect_the_same_one_wins(registry: VersionRegistry, root: Path, base: Path) -> None:
    versions = [publish(registry, str(number)) for number in range(6)]
    start = threading.Barrier(len(versions))

    def race(version: str) -> str | None:
        mine = VersionRegistry(root, base)
        start.wait(10)
        try:
            return mine.activate(version, by=version, expected=mine.base_version).version
        except ConflictError:
            return None

    with ThreadPoolExecutor(len(versions)) as pool:
        won = [version for version in pool.map(race, versions) if version]
    assert won == [registry.active().version]
    assert registry.active().sequence == 1


def test_no_activation_of_several_processes_is_lost_or_counted_twice(
    registry: VersionRegistry, root: Path, base: Path
) -> None:
    versions = [publish(registry, str(number)) for number in range(3)]
    code = (
        "import sys; from pathlib import Path; from app.versions.registry import VersionRegistry\n"
        "registry = VersionRegistry(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "for turn in range(12): print(registry.activate(sys.argv[3 + turn % 3], by='x').sequence)\n"
    )
    command = [sys.executable, "-c", code, str(root), str(base)]
    order = [versions, versions[1:] + versions[:1]]
    running = [subprocess.Popen([*command, *mine], cwd=ROOT, stdout=subprocess.PIPE, text=True) for mine in order]
    seen = [int(line) for process in running for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in running] == [0, 0]
    assert len(seen) == 24
    assert sorted(set(seen)) == list(range(1, registry.active().sequence + 1))


# ---------------------------------------------------------------------------- killed at any moment
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from app.versions.registry import VersionRegistry
from tests.versions.folders import publish

def killed_after(calls):
    left = itertools.count(calls, -1)
    def counted(real):
        def call(*args, **options):
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    for name in ("open", "close", "fsync", "rename", "chmod", "mkdir", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))

registry = VersionRegistry(Path(sys.argv[1]), Path(sys.argv[2]))
for calls in itertools.count():
    child = os.fork()
    if child == 0:
        killed_after(calls)
        version = publish(registry, "new")
        registry.activate(version, by="worker", expected=registry.active().version)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    active = registry.active().version
    for version in registry.ids():
        registry.verify(version)
    registry.clean()
    print(status, active, len(registry.ids()), flush=True)
    left = {path.name for path in Path(sys.argv[1]).iterdir()} - {".lock", "active.json", "previous.json"}
    assert left == set(registry.ids()), left
    if status == 0:
        break
"""


def test_a_kill_at_any_step_leaves_the_old_or_the_new(registry: VersionRegistry, root: Path, base: Path) -> None:
    """Every call that changes the disk is the last one once: of the publishing, then of the activation."""
    old = publish(registry, "old")
    registry.activate(old, by="a")
    command = [sys.executable, "-P", "-c", KILLED, str(root), str(base)]
    environment = {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    seen = [line.split() for line in ended.stdout.splitlines()]
    assert [status for status, _, _ in seen] == ["-9"] * (len(seen) - 1) + ["0"]
    assert [active == old for _, active, _ in seen] == sorted((active == old for _, active, _ in seen), reverse=True)
    assert {(active == old, count) for _, active, count in seen} == {(True, "1"), (True, "2"), (False, "2")}
    assert registry.active().version == seen[-1][1]
    assert len(seen) > 40


def test_a_pointer_document_carries_its_own_hash(registry: VersionRegistry, root: Path) -> None:
    registry.activate(publish(registry, "one"), by="a")
    assert len(json.loads((root / "active.json").read_text())["digest"]) == 64


def test_another_base_does_not_change_what_was_activated(registry: VersionRegistry, root: Path, base: Path) -> None:
    """An upgrade brings another base version: who had chosen the old one is not given the new one silently."""
    version = publish(registry, "one")
    registry.activate(version, by="a")
    old_base = registry.base_version
    registry.activate(old_base, by="a")
    write_fusion(base, "upgraded")
    assert registry.active().version == old_base != registry.base_version
    with pytest.raises(AppError, match="version_not_found"):
        registry.folder(registry.active().version)
