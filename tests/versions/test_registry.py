"""Publishing, listing and verifying versions."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import ArtifactError, NotFoundError, StorageError
from app.fusion.identity import fusion_version
from app.versions.registry import VersionRegistry
from tests.versions.folders import WHEN, info_of, publish, write_fusion

ROOT = Path(__file__).parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_a_folder_there_is_the_base_version_alone(registry: VersionRegistry, root: Path, base: Path) -> None:
    only = registry.base_version
    assert [info.version for info in registry.infos()] == [only]
    assert registry.info(only).parent is None
    assert registry.folder(only) == base
    assert (registry.ids(), registry.clean()) == ((), 0)
    registry.verify(only)
    assert not root.exists(), "looking makes nothing"


def test_a_published_version_is_whole_and_says_where_it_comes_from(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    folder = registry.folder(version)
    assert fusion_version(folder) == folder.name == version
    assert registry.info(version) == info_of(folder, registry.base_version)
    registry.verify(version)
    assert (folder / "adapter/weights").read_text() == "low rank"
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "version.json":
            assert stat.S_IMODE(path.stat().st_mode) == 0o444, path
    assert not list(folder.parent.glob(".staging-*"))


def test_the_newest_comes_first_and_the_base_last(registry: VersionRegistry) -> None:
    old = publish(registry, "old", created_at=WHEN)
    new = publish(registry, "new", created_at=WHEN + timedelta(hours=1))
    assert [info.version for info in registry.infos()] == [new, old, registry.base_version]


def test_publishing_again_changes_nothing(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    before = files_of(registry.folder(version))
    assert publish(registry, "one", created_at=WHEN + timedelta(days=1)) == version
    assert files_of(registry.folder(version)) == before
    assert not list(registry.folder(version).parent.glob(".staging-*"))


def test_a_damaged_version_is_not_written_over(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    damage(registry.folder(version) / "weights.safetensors")
    with pytest.raises(ArtifactError, match="version_damaged"):
        publish(registry, "one")


def test_only_a_whole_fusion_folder_that_is_what_it_is_called_becomes_a_version(registry: VersionRegistry) -> None:
    with registry.stage() as staged:
        write_fusion(staged, "one")
        info = info_of(staged, registry.base_version)
        (staged / "report.json").write_text("changed after the manifest")
        with pytest.raises(ArtifactError, match="fusion_file_damaged"):
            registry.publish(staged, info)
        write_fusion(staged, "two")
        with pytest.raises(ArtifactError, match="version_mismatch"):
            registry.publish(staged, info)
        (staged / "elsewhere").symlink_to("/etc/hostname")
        with pytest.raises(ArtifactError, match="version_damaged"):
            registry.publish(staged, info_of(staged, registry.base_version))
    assert registry.ids() == ()


@pytest.mark.parametrize("version", ["0123456789ab", "..", "../fusion", "", "a" * 5000, "버전", ".lock", "\0"])
def test_what_is_no_version_is_not_found(registry: VersionRegistry, version: str) -> None:
    publish(registry, "one")
    for look in (registry.folder, registry.info, registry.verify):
        with pytest.raises(NotFoundError, match="version_not_found"):
            look(version)


# ---------------------------------------------------------------------------- damage
def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "manifest.json", "adapter/weights"])
def test_verify_names_the_file_that_changed(registry: VersionRegistry, name: str) -> None:
    version = publish(registry, "one")
    damage(registry.folder(version) / name)
    with pytest.raises(ArtifactError) as caught:
        registry.verify(version)
    assert (caught.value.code, caught.value.params) == ("version_damaged", {"version": version, "file": name})


def test_verify_sees_files_that_went_or_came(registry: VersionRegistry) -> None:
    first, second = publish(registry, "one"), publish(registry, "two")
    (registry.folder(first) / "adapter/weights").unlink()
    (registry.folder(second) / "added.json").write_text("{}")
    for version, name in ((first, "adapter/weights"), (second, "added.json")):
        with pytest.raises(ArtifactError, match=name):
            registry.verify(version)


def test_a_damaged_record_is_seen_and_does_not_hide_the_others(
    registry: VersionRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, hurt = publish(registry, "one"), publish(registry, "two")
    record = registry.folder(hurt) / "version.json"
    record.chmod(0o644)
    record.write_text(record.read_text().replace("0.75", "0.95"))
    with pytest.raises(ArtifactError, match=r"version\.json"):
        registry.verify(hurt)
    assert [info.version for info in registry.infos()] == [whole, registry.base_version]
    assert hurt in capsys.readouterr().out
    assert set(registry.ids()) == {whole, hurt}


def test_a_disk_that_does_not_read_is_a_storage_error(
    registry: VersionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(registry, "one")
    names = (version, registry.base_version)

    def failing(_path: Path) -> str:
        raise OSError(errno.EIO, "input/output error")

    for module in ("app.versions.record", "app.fusion.identity"):
        monkeypatch.setattr(f"{module}.file_sha256", failing)
    for name in names:
        with pytest.raises(StorageError, match="storage_unavailable"):
            registry.verify(name)


def test_a_version_that_goes_while_they_are_listed_is_left_out(
    registry: VersionRegistry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = publish(registry, "one"), publish(registry, "two")
    listed = registry.ids()
    shutil.rmtree(root / gone)
    monkeypatch.setattr(VersionRegistry, "ids", lambda _registry: listed)
    assert [info.version for info in registry.infos()] == [kept, registry.base_version]


def test_a_copied_folder_is_no_other_version(registry: VersionRegistry) -> None:
    version = publish(registry, "one")
    copy = registry.folder(version).with_name("0" * 12)
    shutil.copytree(registry.folder(version), copy)
    with pytest.raises(ArtifactError, match="version_damaged"):
        registry.verify("0" * 12)


# ---------------------------------------------------------------------------- staging
def test_what_was_not_published_is_gone_also_after_an_error(registry: VersionRegistry, root: Path) -> None:
    with pytest.raises(KeyError), registry.stage() as staged:  # noqa: PT012
        write_fusion(staged, "one")
        raise KeyError("x")
    assert not list(root.glob(".staging-*"))


def test_clean_removes_what_the_dead_left_and_not_what_is_in_work(registry: VersionRegistry, root: Path) -> None:
    with registry.stage() as mine:
        (root / ".staging-left").mkdir()
        (root / ".staging-left" / "weights.safetensors").write_text("half")
        assert registry.clean() == 1
        assert mine.is_dir()
    assert registry.clean() == 0


def test_clean_takes_what_a_killed_process_held(registry: VersionRegistry, root: Path, base: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from app.versions.registry import VersionRegistry\n"
        "with VersionRegistry(Path(sys.argv[1]), Path(sys.argv[2])).stage() as staged:\n"
        "    (staged / 'config.json').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(root), str(base)], cwd=ROOT, check=False, timeout=60)
    assert len(list(root.glob(".staging-*"))) == 1
    assert registry.clean() == 1
    assert not list(root.glob(".staging-*"))


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(
    registry: VersionRegistry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    kept = publish(registry, "one")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="storage_full"):
            publish(registry, "two")
        with pytest.raises(StorageError, match="storage_full"):
            registry.activate(kept, by="operator")
    assert {path.name for path in root.iterdir()} == {kept, ".lock"}
    assert registry.active().sequence == 0
