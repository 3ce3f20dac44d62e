"""Puts another version into service without a restart: notices it, loads it beside the one that answers, swaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.adaptation import ActiveVersion
from app.domain import Evidence
from app.errors import AppError, NotReadyError, StorageError
from app.services.host import ComponentHost, Components, RefusedVersion
from app.services.ports import Observer, Predictor
from app.versions.pointer import Stamp
from app.versions.registry import VersionRegistry

POLL_S = 1.0
_NOT_LOOKED: Hashable = object()


class StoredVersions:
    """The `VersionSource` of the registry's folders."""

    def __init__(self, registry: VersionRegistry, open_folder: Callable[[Path], Predictor], sample: Evidence) -> None:
        """`sample` is what a network's first pass is made with: it takes longer than those that follow."""
        self._registry = registry
        self._open_folder = open_folder
        self._sample = sample

    def stamp(self) -> Stamp | None:
        return self._registry.stamp()

    def active(self) -> ActiveVersion:
        return self._registry.active()

    def load(self, version: str) -> Predictor:
        self._registry.verify(version)
        predictor = self._open_folder(self._registry.folder(version))
        predictor.predict(self._sample)
        return predictor


class VersionWatcher:
    """A thread that looks every `poll_s` seconds. A version that cannot be loaded leaves the present one serving.

    Of ordinary priority: loading takes a few milliseconds of the interpreter's lock, and a thread that is not scheduled
    while it holds that would keep every case waiting.
    """

    def __init__(self, host: ComponentHost, observer: Observer, *, poll_s: float = POLL_S) -> None:
        self._host = host
        self._observer = observer
        self._poll_s = poll_s
        self._seen: Hashable = _NOT_LOOKED
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Waits for a load under way: a fraction of a second."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(self._poll_s):
            try:
                components = self._host.get()
            except NotReadyError:
                continue
            self.look(components)

    def look(self, components: Components) -> None:
        """Whether another version is to serve; if so, it does when this returns, or the host says why it does not.

        A refused version is tried again when the pointer changes; after a failing disk, each time.
        """
        log = structlog.get_logger("app.versions")
        version, stamp = None, self._seen
        try:
            stamp = components.source.stamp()
            if stamp == self._seen:
                return
            version = components.source.active().version
            if version != components.fusion.version:
                self._swap(components, version)
            self._host.refuse(None)
        except NotReadyError:  # the process stops
            return
        except AppError as error:
            self._refuse(version, error.code, dict(error.params))
            if isinstance(error, StorageError):
                return
        except Exception as error:  # the thread's last line of defence: what serves goes on serving
            log.error("version_load_failed", version=version, error=type(error).__name__, exc_info=True)
            self._refuse(version, "internal_error", {"error": type(error).__name__})
        self._seen = stamp

    def _swap(self, components: Components, version: str) -> None:
        started = time.perf_counter()
        fusion = components.source.load(version)
        self._host.swap(fusion)
        seconds = time.perf_counter() - started
        self._observer.version_swapped(seconds)
        log = structlog.get_logger("app.versions")
        log.info("version_swapped", version=version, before=components.fusion.version, seconds=round(seconds, 3))

    def _refuse(self, version: str | None, code: str, params: dict[str, str | int | float]) -> None:
        known = self._host.refused
        if known is not None and (known.version, known.code) == (version, code):
            return
        self._host.refuse(RefusedVersion(version, code, datetime.now(UTC)))
        self._observer.version_refused()
        told = {name: value for name, value in params.items() if name != "version"}
        structlog.get_logger("app.versions").error("version_refused", version=version, code=code, **told)
