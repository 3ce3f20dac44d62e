"""Brings the components up in the background and says how far it is: the process answers from the first moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

import structlog

from app.errors import AppError, ArtifactError, NotReadyError
from app.services.ports import (
    AnalysisStore,
    CaseEncoder,
    FeedbackStore,
    Knowledge,
    LearningStores,
    MediaDecoder,
    Predictor,
    VersionSource,
)

LoadState = Literal["loading", "ready", "failed", "stopping"]
STEPS = ("storage", "knowledge", "fusion", "prepare", "omni", "medical", "warm_up")


def _nothing() -> None:
    """Most components need no closing."""


@dataclass(frozen=True, slots=True)
class Components:
    """Everything that a request needs."""

    knowledge: Knowledge
    media: MediaDecoder
    omni: CaseEncoder
    medical: CaseEncoder
    fusion: Predictor
    analyses: AnalysisStore
    feedback: FeedbackStore
    learning: LearningStores
    source: VersionSource
    """Where further versions of `fusion` come from."""
    versions: Mapping[str, str]
    """Names what answered: part -> version, without the predictor's, which may change while the process runs."""
    close: Callable[[], None] = field(default=_nothing)


def _stay(_refused: ArtifactError) -> None:
    """Stay up and say why, for as long as nobody ends the process."""


class Progress(Protocol):
    """Told the name of each step, one of STEPS, as it begins, and of a long one how much is done (0 to 1).

    NotReadyError once the process stops: whoever reports gives up.
    """

    def __call__(self, step: str, share: float | None = None) -> None: ...


BuildComponents = Callable[[Progress], Components]
"""Blocking; raises AppError where something must not be served."""


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """`step` is the one under way, or the one that failed; `reason` its error code."""

    state: LoadState
    step: str | None
    done: int
    total: int
    seconds: float
    reason: str | None = None
    share: float | None = None
    """How much of the step is done, where it says so."""


@dataclass(frozen=True, slots=True)
class RefusedVersion:
    """A version that is to serve and cannot: another one answers instead. `code` says why, `version` is None where the
    pointer itself cannot be read."""

    version: str | None
    code: str
    since: datetime


class ComponentHost:
    """Holds the components once they are built; until then, and after `stop`, everyone is told to come back."""

    def __init__(
        self, build: BuildComponents, stopping: threading.Event, on_refused: Callable[[ArtifactError], None] = _stay
    ) -> None:
        """`on_refused` is told, on the loading thread, of what must not be served: trying again would not help."""
        self._build = build
        self._on_refused = on_refused
        self._stopping = stopping
        self._components: Components | None = None
        self._refused: RefusedVersion | None = None
        self._step: str | None = None
        self._share: float | None = None
        self._reason: str | None = None
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._thread = threading.Thread(target=self._load, name="load", daemon=True)

    def start(self) -> None:
        self._started = time.monotonic()
        self._thread.start()

    def get(self) -> Components:
        """NotReadyError: models_loading, models_failed or shutting_down."""
        if self._stopping.is_set():
            raise NotReadyError("shutting_down", retry_after_s=5)
        if self._reason is not None:
            raise NotReadyError("models_failed")
        if self._components is None:
            raise NotReadyError("models_loading", retry_after_s=2)
        return self._components

    def swap(self, fusion: Predictor) -> None:
        """From now on `get` gives this one; whoever has asked before goes on with what it was given. One caller only.

        NotReadyError as `get`.
        """
        self._components = replace(self.get(), fusion=fusion)

    @property
    def refused(self) -> RefusedVersion | None:
        """None where what is to serve does."""
        return self._refused

    def refuse(self, refused: RefusedVersion | None) -> None:
        self._refused = refused

    def status(self) -> LoadStatus:
        done = STEPS.index(self._step) if self._step in STEPS else 0
        seconds = time.monotonic() - self._started if self._seconds is None else self._seconds
        state: LoadState = "loading"
        if self._stopping.is_set():
            state = "stopping"
        elif self._reason is not None:
            state = "failed"
        elif self._components is not None:
            return LoadStatus("ready", None, len(STEPS), len(STEPS), seconds)
        return LoadStatus(state, self._step, done, len(STEPS), seconds, self._reason, self._share)

    def close(self) -> None:
        """Wait for a load under way, then close what was built."""
        if self._thread.is_alive():
            self._thread.join()
        if self._components is not None:
            self._components.close()

    def _load(self) -> None:
        log = structlog.get_logger("app.load")
        try:
            components = self._build(self._report)
        except NotReadyError:
            log.info("load_abandoned", step=self._step)
        except AppError as error:
            log.error("load_failed", step=self._step, code=error.code, **error.params)
            if isinstance(error, ArtifactError):
                self._on_refused(error)
            self._reason = error.code
        except (
            Exception
        ) as error:  # the thread's last line of defence: the process stays up and says why it is not ready
            log.error("load_failed", step=self._step, code="internal_error", error=type(error).__name__, exc_info=True)
            self._reason = "internal_error"
        else:
            self._components = components
        self._seconds = time.monotonic() - self._started
        if self._components is not None:
            versions = {**self._components.versions, "fusion": self._components.fusion.version}
            log.info("ready", seconds=round(self._seconds, 2), **versions)

    def _report(self, step: str, share: float | None = None) -> None:
        if self._stopping.is_set():
            raise NotReadyError("shutting_down", retry_after_s=5)
        self._share = share
        if step != self._step:
            self._step = step
            structlog.get_logger("app.load").info("loading", step=step)
