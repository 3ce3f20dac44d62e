"""The learning loop as its callers see it: what waits, which runs there were, which version answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from app.adaptation import MAX_REJECTIONS, ActiveVersion, AuditEntry, FeedbackProgress, LearningRun, VersionInfo
from app.errors import ArtifactError, ConflictError, NotFoundError, NotReadyError
from app.services.activation import ACTIVATED, ACTIVATING, NOT_ACTIVATED, activate_version
from app.services.host import ComponentHost, Components, RefusedVersion
from app.services.pools import WorkerPool
from app.services.ports import AuditStore, VersionStore
from app.services.usable import exclusion_of

LAST_RUNS = 10
LOCAL = "local"
"""The actor of what was done without a key."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LearningPolicy:
    """`run_settings` are written down with each run."""

    enabled: bool
    min_feedback: int
    run_settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WaitingFeedback:
    """Rows that no finished run has used: how many can be learnt from, and how many not, by `ExclusionReason`."""

    usable: int
    unusable: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LearningStatus:
    enabled: bool
    waiting: WaitingFeedback
    threshold: int
    active_run: LearningRun | None
    active_version: str
    """What the pointer names."""
    serving_version: str
    """What answers cases in this process: follows the pointer within seconds."""
    last_runs: tuple[LearningRun, ...]


@dataclass(frozen=True, slots=True)
class VersionsStatus:
    active: ActiveVersion
    serving_version: str
    versions: tuple[VersionInfo, ...]
    refused: RefusedVersion | None = None
    """Why the active version does not answer, where it cannot."""


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """`activations`: audit entries of when its version was, or was not, put into service, oldest first."""

    report: Mapping[str, Any]
    activations: tuple[AuditEntry, ...]


class LearningService:
    """Blocking work runs on `pool`, apart from the cases' own. Event loop only. Every method: NotReadyError while
    nothing is loaded, OverloadedError, StorageError; and NotReadyError("versions_unreadable") where the pointer or a
    version's description cannot be read."""

    def __init__(self, host: ComponentHost, pool: WorkerPool, policy: LearningPolicy) -> None:
        self._host = host
        self._pool = pool
        self._policy = policy

    def admit(self) -> None:
        """NotReadyError while nothing can be read."""
        self._host.get()

    async def status(self) -> LearningStatus:
        return await self._run(self._status)

    async def start_run(self, requested_by: str | None) -> LearningRun:
        """ConflictError: learning_disabled, run_active, nothing_to_learn."""
        if not self._policy.enabled:
            raise ConflictError("learning_disabled")
        return await self._run(partial(self._start_run, requested_by=requested_by))

    async def run(self, run_id: str) -> LearningRun:
        """NotFoundError("run_not_found")."""
        return await self._run(lambda parts: parts.learning.runs.get(run_id))

    async def cancel(self, run_id: str, requested_by: str | None) -> LearningRun:
        """Cancelled at once or soon. NotFoundError("run_not_found"); ConflictError: run_decided, run_finished."""
        return await self._run(lambda parts: parts.learning.runs.cancel(run_id, requested_by or ""))

    async def change_record(self, run_id: str) -> ChangeRecord:
        """NotFoundError: run_not_found, or change_record_not_found before the gate has judged."""
        return await self._run(partial(_change_record, run_id=run_id))

    async def feedback(self, feedback_id: str, caller: str | None, *, is_admin: bool) -> FeedbackProgress:
        """What became of a row. NotFoundError where it is not there, or another caller's and `is_admin` is false."""
        progress = await self._run(lambda parts: parts.learning.runs.feedback(feedback_id))
        if not is_admin and progress.caller != (caller or ""):
            raise NotFoundError("feedback_not_found")
        return progress

    async def versions(self) -> VersionsStatus:
        return replace(await self._run(_versions), refused=self._host.refused)

    async def activate(self, version: str, *, by: str | None, expected: str | None) -> VersionsStatus:
        """Durable when it returns, and answering soon after. NotFoundError("version_not_found"); ConflictError:
        version_changed where another version than `expected` is active, version_not_servable."""
        work = partial(_activate, version=version, by=by or LOCAL, expected=expected)
        return replace(await self._run(work), refused=self._host.refused)

    async def _run(self, work: Callable[[Components], T]) -> T:
        return await self._pool.run(partial(work, self._host.get()))

    def _status(self, parts: Components) -> LearningStatus:
        runs = parts.learning.runs
        return LearningStatus(
            enabled=self._policy.enabled,
            waiting=_waiting(parts),
            threshold=self._policy.min_feedback,
            active_run=runs.active(),
            active_version=_active(parts.learning.versions).version,
            serving_version=parts.fusion.version,
            last_runs=tuple(runs.recent(LAST_RUNS)),
        )

    def _start_run(self, parts: Components, requested_by: str | None) -> LearningRun:
        active = parts.learning.runs.active()
        if active is not None:
            raise ConflictError("run_active", run_id=active.run_id)
        if _waiting(parts).usable == 0 and not parts.learning.queue.rejected(MAX_REJECTIONS):
            raise ConflictError("nothing_to_learn")
        return parts.learning.runs.open("manual", requested_by or "", self._policy.run_settings)


def _waiting(parts: Components) -> WaitingFeedback:
    conditions = frozenset(parts.fusion.conditions)
    reasons = Counter(exclusion_of(row, conditions, parts.versions) for row in parts.learning.queue.waiting())
    usable = reasons.pop(None, 0)
    return WaitingFeedback(usable, {str(reason): count for reason, count in sorted(reasons.items(), key=str)})


def _change_record(parts: Components, run_id: str) -> ChangeRecord:
    run = parts.learning.runs.get(run_id)
    if not run.report:
        raise NotFoundError("change_record_not_found")
    if run.candidate_version is None:
        return ChangeRecord(run.report, ())
    return ChangeRecord(run.report, tuple(_activations(parts.learning.audit, run.candidate_version)))


def _activations(audit: AuditStore, version: str) -> Iterator[AuditEntry]:
    after = 0
    while entries := audit.entries(after, subject=version):
        yield from (entry for entry in entries if entry.action in {ACTIVATING, ACTIVATED, NOT_ACTIVATED})
        after = entries[-1].sequence


def _versions(parts: Components) -> VersionsStatus:
    store = parts.learning.versions
    with _readable():
        return VersionsStatus(store.active(), parts.fusion.version, tuple(store.infos()))


def _active(store: VersionStore) -> ActiveVersion:
    with _readable():
        return store.active()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ArtifactError as error:
        raise _unreadable(error) from error


def _unreadable(error: ArtifactError) -> NotReadyError:
    """What is wrong with the files is the operator's to know."""
    structlog.get_logger("app.learning").error("versions_unreadable", code=error.code, **error.params)
    return NotReadyError("versions_unreadable")


def _activate(parts: Components, version: str, by: str, expected: str | None) -> VersionsStatus:
    """Which file is damaged is the operator's to know."""
    stores = parts.learning
    try:
        activate_version(stores.versions, stores.audit, version, by=by, expected=expected)
    except ArtifactError as error:
        if error.code == "version_pointer_invalid":
            raise _unreadable(error) from error
        told = {name: value for name, value in error.params.items() if name != "version"}
        log = structlog.get_logger("app.learning")
        log.error("version_not_servable", version=version, code=error.code, **told)
        raise ConflictError("version_not_servable") from error
    return _versions(parts)
