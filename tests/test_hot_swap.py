"""Other versions put into service while cases are answered: the real parts, small, behind a real socket."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.metrics import Metrics
from app.errors import ArtifactError
from app.evaluation.swapping import Load, ask, mixed_versions, swap
from app.evaluation.variants import publish_variant
from app.services.host import ComponentHost
from app.services.version_watch import VersionWatcher
from app.serving_version import check_active, fusion_opener, open_active, version_registry
from app.versions.files import read_sealed, write_sealed
from app.versions.registry import VersionRegistry
from app.wiring import build_components, check_artifacts
from tests.api.harness import loaded, serving
from tests.services.waiting import wait_until
from tests.test_wiring import silent
from tests.tiny_pair import Pair, knowledge, make_pair
from tests.versions.test_registry import damage

CASES = range(5)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def registry(pair: Pair, tmp_path: Path) -> VersionRegistry:
    return version_registry(pair.settings(tmp_path))


@pytest.fixture
def client(pair: Pair, tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        serving(pair.settings(tmp_path), build_components) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        assert loaded(address).status_code == 200
        yield client


def test_three_promotions_and_a_rollback_under_load(client: httpx.Client, registry: VersionRegistry) -> None:
    """No error, no mixed answer, every version within 5 seconds, and the same bytes after going back."""
    base = registry.base_version
    versions = [publish_variant(registry, seed) for seed in (1, 2, 3)]
    before = {(base, case): ask(client, case).body for case in CASES}

    def activate(version: str) -> None:
        assert client.post(f"/api/v1/versions/{version}/activate").status_code == 200

    expected = dict(before)
    swaps = []
    with Load(str(client.base_url), clients=8, cases=CASES) as load:
        wait_until(lambda: len(load.answers) >= 20)
        for version in (*versions, base):
            swaps.append(swap(load, activate, version))
            asked = [ask(client, case) for case in CASES]
            assert {answer.version for answer in asked} == {version}
            expected |= {(version, answer.case): answer.body for answer in asked}
    assert load.errors == {}
    assert {answer.status for answer in load.answers} == {200}
    assert {answer.version for answer in load.answers} == {base, *versions}
    assert mixed_versions(load.answers, expected) == []
    assert len(set(expected.values())) == 4 * len(CASES), "each version answers each case in its own way"
    assert before.items() <= expected.items(), "byte for byte what it said before"
    assert max(one.seconds for one in swaps) <= 5.0
    for one, later in itertools.pairwise(swaps):
        begun_between = [
            answer for answer in load.answers if one.answered < answer.began and answer.ended < later.switched
        ]
        assert {answer.version for answer in begun_between} <= {one.version}


def test_a_version_that_is_damaged_is_said_and_the_present_one_goes_on(
    client: httpx.Client, registry: VersionRegistry
) -> None:
    version = publish_variant(registry, 1)
    registry.activate(version, by="a")
    wait_until(lambda: ask(client, 0).version == version)
    other = publish_variant(registry, 2)
    damage(registry.folder(other) / "weights.safetensors")
    point_at(registry, other)
    wait_until(lambda: "medmodal_version_refused 1.0" in client.get("/metrics").text)
    assert ask(client, 0).version == version
    registry.activate(registry.base_version, by="a")
    wait_until(lambda: ask(client, 0).version == registry.base_version)
    metrics = client.get("/metrics").text
    assert "medmodal_version_refused 0.0" in metrics
    assert 'medmodal_version_swaps_total{outcome="refused"} 1.0' in metrics
    assert 'medmodal_version_swaps_total{outcome="swapped"} 2.0' in metrics
    assert f'fusion="{registry.base_version}"' in metrics


def point_at(registry: VersionRegistry, version: str) -> None:
    """Behind the back of the registry, which would not."""
    good = publish_variant(registry, 99)
    registry.activate(good, by="a")
    path = registry.folder(good).parent / "active.json"
    write_sealed(path, {**read_sealed(path), "version": version})


@pytest.mark.parametrize("harm", ["weights", "record", "gone", "pointer"])
def test_an_active_version_that_must_not_be_served_is_not_replaced_silently(
    pair: Pair, tmp_path: Path, registry: VersionRegistry, harm: str
) -> None:
    """The process does not start, and says how to go back."""
    settings = pair.settings(tmp_path)
    version = publish_variant(registry, 1)
    registry.activate(version, by="a")
    folder = registry.folder(version)
    if harm == "weights":
        damage(folder / "weights.safetensors")
    elif harm == "record":
        damage(folder / "version.json")
    elif harm == "gone":
        folder.rename(tmp_path / "gone")
    else:
        (folder.parent / "active.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"`python -m app\.activate base`"):
        open_active(registry, fusion_opener(settings, knowledge()))
    if harm != "weights":  # hashing is for the loading thread; the rest is seen before anything listens
        with pytest.raises(ArtifactError, match="active_version_refused"):
            check_artifacts(settings)
    registry.activate(registry.base_version, by="operator")
    assert check_active(registry) == registry.base_version


def test_a_start_serves_the_active_version_and_one_that_is_replaced_is_freed(
    pair: Pair, tmp_path: Path, registry: VersionRegistry
) -> None:
    active = publish_variant(registry, 3)
    registry.activate(active, by="a")
    built = [build_components(pair.settings(tmp_path), silent)]
    assert built[0].fusion.version == active
    host = ComponentHost(lambda _progress: built.pop(), threading.Event())
    host.start()
    wait_until(lambda: host.status().state == "ready")
    seen = [weakref.ref(host.get().fusion)]
    watcher = VersionWatcher(host, Metrics())
    for seed in (1, 2):
        registry.activate(publish_variant(registry, seed), by="a")
        watcher.look(host.get())
        seen.append(weakref.ref(host.get().fusion))
    gc.collect()
    assert [one() is None for one in seen] == [True, True, False]
    host.close()
