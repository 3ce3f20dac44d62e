import threading

import pytest

from app.errors import ArtifactError, NotReadyError, StorageError
from app.services.host import STEPS, ComponentHost, Components, Progress
from tests.services.fakes import FakeStorage, components
from tests.services.waiting import wait_until


def wait_for(host: ComponentHost, state: str) -> None:
    wait_until(lambda: host.status().state == state)


def test_says_how_far_it_is_then_serves() -> None:
    go = threading.Event()
    storage = FakeStorage()
    parts = components(storage=storage)

    def build(progress: Progress) -> Components:
        progress("storage")
        progress("omni")
        go.wait(5)
        return parts

    host = ComponentHost(build, threading.Event())
    host.start()
    wait_until(lambda: host.status().step == "omni")
    status = host.status()
    assert (status.state, status.done, status.total) == ("loading", STEPS.index("omni"), len(STEPS))
    with pytest.raises(NotReadyError, match="models_loading"):
        host.get()
    go.set()
    wait_for(host, "ready")
    assert host.get() is parts
    assert host.status().done == host.status().total
    host.close()
    assert storage.closed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ArtifactError("model_file_damaged", file="x"), "model_file_damaged"),
        (StorageError("storage_unavailable"), "storage_unavailable"),
        (KeyError("x"), "internal_error"),
    ],
)
def test_a_failed_load_keeps_its_reason_and_only_a_refusal_is_told(error: Exception, reason: str) -> None:
    refused: list[ArtifactError] = []

    def build(progress: Progress) -> Components:
        progress("medical")
        raise error

    host = ComponentHost(build, threading.Event(), refused.append)
    host.start()
    wait_for(host, "failed")
    assert [type(one) for one in refused] == ([ArtifactError] if isinstance(error, ArtifactError) else [])
    status = host.status()
    assert (status.step, status.reason) == ("medical", reason)
    with pytest.raises(NotReadyError, match="models_failed"):
        host.get()
    host.close()


def test_stopping_refuses_new_work() -> None:
    stopping = threading.Event()
    parts = components()
    host = ComponentHost(lambda _progress: parts, stopping)
    host.start()
    wait_for(host, "ready")
    stopping.set()
    assert host.status().state == "stopping"
    with pytest.raises(NotReadyError, match="shutting_down"):
        host.get()
    host.close()
