"""`python -m app.learning.worker`: watches the database, opens runs, and keeps one training process going.

This process stays small (no torch, no encoder) and looks at state, never at events: whatever was missed while it was
down, it sees when it is back. Several may work on one database; a run's lease decides whose it is.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from app.errors import AppError, ArtifactError, StorageError
from app.learning.log import learning_log
from app.learning.opening import Learnable, RunOpener
from app.learning.retention import Retention
from app.learning.supervision import RunSupervisor
from app.learning.trainer import TRAINER, Trainer
from app.observability import configure_logging
from app.patience import Patience
from app.served import encoder_versions, fusion_conditions, served_manifests
from app.serving_version import version_registry
from app.settings import Settings
from app.storage.database import Database, open_database
from app.storage.feedback_queue import FeedbackQueue
from app.storage.location import parse_url
from app.storage.purging import Purger
from app.storage.runs import RunRepository

EXIT_DEFECT = 1
EXIT_BAD_SETTINGS = 2
EXIT_REFUSED = 3
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGN_OF_LIFE_S = 30.0
"""The heartbeat file is never older than this by much."""


class Duty(Protocol):
    """Something that is looked after again and again."""

    def look(self) -> None:
        """StorageError."""
        ...

    def excuse(self) -> None:
        """The last look failed, here or elsewhere."""
        ...

    def stop(self) -> None:
        """StorageError."""
        ...


def main(arguments: Sequence[str] | None = None, trainer: Sequence[str] = TRAINER) -> int:
    """0 after a signal, 1 for a defect, 2 for a bad setting, 3 for what must not be served. `trainer`: of `Trainer`."""
    parser = argparse.ArgumentParser(prog="python -m app.learning.worker", description=__doc__)
    parser.add_argument("--heartbeat", type=Path, help="a file whose time of change says when this process last looked")
    heartbeat: Path | None = parser.parse_args(arguments).heartbeat
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPS, signal.SIGCHLD))
    try:
        settings = Settings.load()
        parse_url(settings.database_url)
    except AppError as error:
        name = error.params.get("setting", "DATABASE_URL")
        return _refuse(f"bad setting {name}: {error.params['reason']}", EXIT_BAD_SETTINGS)
    configure_logging(settings.log_level, settings.log_format)
    try:
        _work(settings, trainer, heartbeat)
    except ArtifactError as error:
        return _refuse(str(error), EXIT_REFUSED)
    except Exception:  # noqa: BLE001 - a traceback on standard error would be no line of the log
        learning_log().exception("unexpected_error")
        return EXIT_DEFECT
    return 0


def _work(settings: Settings, trainer: Sequence[str], heartbeat: Path | None) -> None:
    """Until a signal comes. ArtifactError for what must not be served, or a database of a newer version."""
    served = encoder_versions(served_manifests(settings))
    learnable = Learnable(fusion_conditions(settings.fusion_weights_path), served)
    patience = Patience(settings.learning_poll_s)
    learning_log().info("learner_started", learns=settings.lora_enabled, retention_days=settings.retention_days)
    with ExitStack() as stack:
        duties: list[Duty] | None = None
        is_told = False
        while not is_told:
            delay = settings.learning_poll_s
            try:
                if duties is None:
                    database = open_database(settings.database_url)
                    stack.callback(database.close)
                    duties = _duties(settings, database, learnable, trainer)
                    stack.callback(_stop, duties)
                for duty in duties:
                    duty.look()
                patience.reset()
            except StorageError as error:
                delay = patience.next_delay()
                learning_log().warning("look_failed", code=error.code, next_look_s=delay)
                for duty in duties or ():
                    duty.excuse()
            is_told = _wait(delay, heartbeat)
    learning_log().info("learner_stopped")


def _duties(settings: Settings, database: Database, learnable: Learnable, trainer: Sequence[str]) -> list[Duty]:
    duties: list[Duty] = []
    if settings.lora_enabled:
        runs = RunRepository(database)
        opener = RunOpener(
            runs,
            FeedbackQueue(database),
            learnable,
            min_feedback=settings.learning_min_feedback,
            settings=settings.run_settings,
        )
        duties.append(
            RunSupervisor(
                runs,
                opener,
                version_registry(settings),
                Trainer(trainer),
                poll_s=settings.learning_poll_s,
                lease_s=settings.learning_lease_s,
                max_attempts=settings.learning_max_attempts,
                min_free_memory=settings.learning_min_free_memory,
            )
        )
    if settings.retention_days:
        duties.append(Retention(Purger(database), settings.retention_days))
    return duties


def _wait(seconds: float, heartbeat: Path | None) -> bool:
    """Until it is time, a signal comes, or the trainer ends; True where this process is to end."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if heartbeat is not None:
            _touch(heartbeat)
        received = signal.sigtimedwait((*_STOPS, signal.SIGCHLD), min(left, _SIGN_OF_LIFE_S))
        if received is not None:
            return received.si_signo in _STOPS
    return False


def _stop(duties: Sequence[Duty]) -> None:
    for duty in duties:
        try:
            duty.stop()
        except StorageError as error:  # the lease runs out by itself
            learning_log().warning("stop_failed", code=error.code)


def _touch(heartbeat: Path) -> None:
    try:
        heartbeat.touch()
    except OSError as error:
        learning_log().warning("heartbeat_failed", reason=type(error).__name__)


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"medmodal: the learner does not start: {reason}\n")
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
