"""`python -m app.learning.runner --owner NAME`: one attempt at the run that waits, from claim to end.

The steps can be taken up again wherever the process died: a run without a decision starts anew and, from the same
feedback, gives the same version; one with a decision is brought to its end. A version is published before the decision
is written, and the decision is written before the pointer is switched. What an attempt published and did not live to
decide on is withdrawn by the next one.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from app.adaptation import WORKER, LearningRun
from app.errors import AppError, ArtifactError, ConflictError, LeaseLostError, StorageError
from app.learning.job import Job, NothingToLearnError
from app.learning.keeping import CancelledRunError, Keeper, ShortOfMemoryError, StoppedError
from app.learning.log import learning_log
from app.observability import configure_logging
from app.services.activation import ACTIVATED, activate_version
from app.settings import Settings
from app.storage.audit import AuditLog
from app.storage.database import Database, open_database
from app.storage.runs import CANCEL_REQUESTED, RunRepository
from app.versions.registry import VersionRegistry

STOPPED = "worker_stopped"
PARENT_REPLACED = "parent_replaced"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the run came to an end, was given back in order, or there was none; 1 where it failed."""
    parser = argparse.ArgumentParser(prog="python -m app.learning.runner", description=__doc__)
    parser.add_argument("--owner", required=True, help="the name to claim the run with; never used twice")
    owner: str = parser.parse_args(arguments).owner
    settings = Settings.load()
    configure_logging(settings.log_level, settings.log_format)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        return _attempt(settings, owner)
    except StoppedError:  # before the run was claimed, or after it was left
        return 0
    except LeaseLostError:  # it was over, or another's, before it could be given back or ended
        learning_log().warning("lease_lost")
        return 1
    except StorageError as error:  # not even given back: the learner that started this ends the lease
        learning_log().warning("run_left_behind", code=error.code)
        return 1


def _attempt(settings: Settings, owner: str) -> int:
    database = open_database(settings.database_url)
    try:
        runs = RunRepository(database)
        run = runs.claim(owner, settings.learning_lease_s, settings.learning_max_attempts)
        if run is None:
            return 0
        log = learning_log().bind(run_id=run.run_id)
        log.info("run_claimed", attempt=run.attempts)
        status = Attempt(settings, database, runs, run, owner).work()
        log.info("run_left", state=runs.get(run.run_id).state)
        return status
    finally:
        database.close()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise StoppedError


class Attempt:
    """One worker's attempt at one run."""

    def __init__(
        self, settings: Settings, database: Database, runs: RunRepository, run: LearningRun, owner: str
    ) -> None:
        self._settings = settings
        self._database = database
        self._runs = runs
        self._run = run
        self._owner = owner
        self._registry = VersionRegistry(settings.versions_dir, settings.fusion_weights_path)
        self._audit = AuditLog(database)

    def work(self) -> int:
        """The exit status. Whatever happens, the run is ended or given back, as far as the database lets us."""
        run_id, owner = self._run.run_id, self._owner
        try:
            self._make_and_settle()
        except LeaseLostError:
            learning_log().warning("lease_lost", run_id=run_id)
            return 1
        except StoppedError:
            self._runs.requeue(run_id, owner, STOPPED, counts=False)
        except ShortOfMemoryError:
            self._runs.requeue(run_id, owner, "short_of_memory")
        except CancelledRunError:
            self._runs.finish(run_id, owner, "cancelled", CANCEL_REQUESTED)
        except StorageError as error:
            learning_log().warning("run_given_back", run_id=run_id, code=error.code)
            self._runs.requeue(run_id, owner, error.code)
            return 1
        except ConflictError as error:
            if error.code == CANCEL_REQUESTED:
                self._runs.finish(run_id, owner, "cancelled", CANCEL_REQUESTED)
                return 0
            # feedback was purged since it was read
            self._runs.requeue(run_id, owner, error.code)
            return 1
        except NothingToLearnError as error:
            self._runs.finish(run_id, owner, "failed", error.code)
        except AppError as error:
            learning_log().error("run_failed", run_id=run_id, code=error.code, **error.params)
            self._runs.finish(run_id, owner, "failed", error.code)
            return 1
        except Exception as error:  # noqa: BLE001 - the last line of defence: a run never stays active without reason
            learning_log().error(
                "run_failed", run_id=run_id, code="internal_error", error=type(error).__name__, exc_info=True
            )
            self._runs.finish(run_id, owner, "failed", "internal_error")
            return 1
        return 0

    def _make_and_settle(self) -> None:
        with Keeper(self._runs, self._run.run_id, self._owner, self._settings) as keeper:
            if self._run.decision is None:
                Job(self._settings, self._database, self._runs, self._registry, self._run, self._owner).decide(keeper)
            self._settle(self._runs.get(self._run.run_id))

    def _settle(self, run: LearningRun) -> None:
        """What the gate said becomes true, once: may be repeated after a kill at any point."""
        if run.decision != "promote" or run.candidate_version is None:
            self._runs.finish(run.run_id, self._owner, "rejected", run.reason)
            return
        version, active = run.candidate_version, self._registry.active().version
        if active != version and not self._was_activated(version):
            if active != run.parent_version:  # somebody activated another one meanwhile
                self._runs.finish(run.run_id, self._owner, "failed", PARENT_REPLACED)
                return
            try:
                activate_version(self._registry, self._audit, version, by=WORKER, expected=run.parent_version)
            except ConflictError:
                self._runs.finish(run.run_id, self._owner, "failed", PARENT_REPLACED)
                return
        self._runs.finish(run.run_id, self._owner, "promoted", None)

    def _was_activated(self, version: str) -> bool:
        """By an attempt that died before it could end the run. Whoever went back since is not overruled."""
        return bool(self._audit.entries(limit=1, subject=version, action=ACTIVATED))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArtifactError as error:
        sys.stderr.write(f"medmodal: no training: {error}\n")
        sys.exit(3)
