"""Putting another version into service while the process answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain import Evidence
from app.errors import ArtifactError, NotFoundError, NotReadyError, StorageError
from app.services.host import ComponentHost
from app.services.version_watch import StoredVersions, VersionWatcher
from app.versions.registry import VersionRegistry
from tests.services.fakes import FakePredictor, FakeSource, components
from tests.services.waiting import wait_until
from tests.versions.folders import publish, write_fusion

DAMAGED = ArtifactError("version_damaged", version="f2", file="weights.safetensors")


@dataclass
class Counts:
    """The observer's part that is looked at here."""

    swaps: list[float] = field(default_factory=list)
    refusals: int = 0

    def version_swapped(self, seconds: float) -> None:
        self.swaps.append(seconds)

    def version_refused(self) -> None:
        self.refusals += 1


class Watched:
    """A ready host, its source, and a watcher whose thread the test starts, or not."""

    def __init__(self, **held: FakePredictor | Exception) -> None:
        self.source = FakeSource(held={"f1": FakePredictor(version="f1"), **held})
        self.stopping = threading.Event()
        parts = components(source=self.source)
        self.host = ComponentHost(lambda _progress: parts, self.stopping)
        self.counts = Counts()
        self.watcher = VersionWatcher(self.host, self.counts, poll_s=0.01)  # type: ignore[arg-type]
        self.host.start()
        wait_until(lambda: self.host.status().state == "ready")

    def look(self) -> None:
        self.watcher.look(self.host.get())

    @property
    def serving(self) -> str:
        return self.host.get().fusion.version


def test_another_version_is_noticed_and_swapped_in() -> None:
    watched = Watched(f2=FakePredictor(version="f2"))
    watched.watcher.start()
    watched.source.activate("f2")
    wait_until(lambda: watched.serving == "f2")
    watched.source.activate("f1")
    wait_until(lambda: watched.serving == "f1")
    watched.watcher.close()
    assert watched.source.loads == ["f2", "f1"]
    assert len(watched.counts.swaps) == 2
    watched.host.close()


def test_nothing_is_loaded_where_nothing_changed() -> None:
    watched = Watched()
    for _ in range(3):
        watched.look()
    watched.source.activate("f1")
    watched.look()
    assert (watched.source.loads, watched.host.refused) == ([], None)


def test_whoever_asked_before_keeps_what_it_was_given_and_the_rest_stays_the_same() -> None:
    watched = Watched(f2=FakePredictor(version="f2"))
    before = watched.host.get()
    watched.source.activate("f2")
    watched.look()
    after = watched.host.get()
    assert (before.fusion.version, after.fusion.version) == ("f1", "f2")
    assert (after.omni, after.analyses, after.close) == (before.omni, before.analyses, before.close)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DAMAGED, "version_damaged"),
        (NotFoundError("version_not_found"), "version_not_found"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "internal_error"),
        (MemoryError(), "internal_error"),
    ],
)
def test_a_version_that_cannot_be_loaded_leaves_the_present_one(
    error: Exception, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(f2=error)
    began = datetime.now(UTC)
    watched.source.activate("f2")
    for _ in range(3):
        watched.look()
    refused = watched.host.refused
    assert watched.serving == "f1"
    assert refused is not None
    assert (refused.version, refused.code) == ("f2", code)
    assert began <= refused.since <= began + timedelta(seconds=10)
    assert watched.source.loads == ["f2"], "not again and again"
    assert watched.counts.refusals == 1
    assert capsys.readouterr().out.count("version_refused") == 1


def test_a_refused_version_is_tried_again_when_the_pointer_changes() -> None:
    watched = Watched(f2=DAMAGED)
    watched.source.activate("f2")
    watched.look()
    watched.source.held["f2"] = FakePredictor(version="f2")
    watched.look()
    assert watched.serving == "f1"
    watched.source.activate("f2")
    watched.look()
    assert (watched.serving, watched.host.refused) == ("f2", None)


def test_going_back_to_what_serves_settles_it() -> None:
    watched = Watched(f2=DAMAGED)
    watched.source.activate("f2")
    watched.look()
    watched.source.activate("f1")
    watched.look()
    assert (watched.serving, watched.host.refused) == ("f1", None)
    assert watched.source.loads == ["f2"]


def test_a_disk_that_fails_for_a_while_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(f2=StorageError("storage_unavailable", reason="EIO"))
    watched.source.activate("f2")
    watched.look()
    watched.look()
    assert watched.host.refused is not None
    assert watched.host.refused.code == "storage_unavailable"
    assert capsys.readouterr().out.count("version_refused") == 1
    watched.source.held["f2"] = FakePredictor(version="f2")
    watched.look()
    assert (watched.serving, watched.host.refused) == ("f2", None)


def test_a_pointer_that_cannot_be_read_changes_nothing() -> None:
    watched = Watched()
    watched.source.unreadable = ArtifactError("version_pointer_invalid", file="active.json")
    watched.source.activate("f2")
    watched.look()
    refused = watched.host.refused
    assert refused is not None
    assert (watched.serving, refused.version, refused.code) == ("f1", None, "version_pointer_invalid")


def test_nothing_is_swapped_before_it_is_ready_or_when_it_stops() -> None:
    watched = Watched(f2=FakePredictor(version="f2"))
    parts = watched.host.get()
    watched.source.activate("f2")
    watched.stopping.set()
    watched.watcher.look(parts)
    assert watched.host.refused is None
    with pytest.raises(NotReadyError):
        watched.host.swap(FakePredictor(version="f2"))
    watched.stopping.clear()
    assert watched.serving == "f1"
    waiting = ComponentHost(lambda _progress: parts, threading.Event())
    with pytest.raises(NotReadyError, match="models_loading"):
        waiting.swap(FakePredictor(version="f2"))
    early = VersionWatcher(waiting, watched.counts, poll_s=0.01)  # type: ignore[arg-type]
    early.start()
    waiting.start()
    wait_until(lambda: watched.source.loads == ["f2", "f2"])
    early.close()


# ---------------------------------------------------------------------------- the registry behind it
def test_stored_versions_are_verified_opened_and_run_once(tmp_path: Path) -> None:
    registry = VersionRegistry(tmp_path / "versions", write_fusion(tmp_path / "fusion", "base"))
    version = publish(registry, "one")
    opened: list[Path] = []
    predictor = FakePredictor(version=version)

    def open_folder(folder: Path) -> FakePredictor:
        opened.append(folder)
        return predictor

    source = StoredVersions(registry, open_folder, Evidence(()))
    stamp = source.stamp()
    assert source.active().version == registry.base_version
    registry.activate(version, by="a")
    assert source.stamp() != stamp
    assert source.load(source.active().version) is predictor
    assert opened == [registry.folder(version)]
    assert predictor.seen == [Evidence(())], "warm before it serves"
    weights = registry.folder(version) / "weights.safetensors"
    weights.chmod(0o644)
    weights.write_text("damaged")
    with pytest.raises(ArtifactError, match="version_damaged"):
        source.load(version)
    assert len(opened) == 1, "what is damaged is not even opened"
