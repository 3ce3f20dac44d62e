"""Stands in for `app.learning.runner`: claims a run as its owner is told to, and ends it as FAKE_TRAINER says.

reject  the run is rejected at once
die     kills itself while it holds the run
work    holds the run until SIGTERM, then gives it back

Writes `trainer-<pid>` below VERSIONS_DIR: what the process was started as. One that dies leaves a staging folder.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from app.storage.database import open_database
from app.storage.runs import RunRepository


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", required=True)
    owner: str = parser.parse_args().owner
    mode = os.environ["FAKE_TRAINER"]
    is_told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: is_told.append(1))
    folder = Path(os.environ["VERSIONS_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    note(folder)
    runs = RunRepository(open_database(os.environ["DATABASE_URL"]))
    run = runs.claim(owner, 30.0, 3)
    if run is None:
        return 0
    if mode == "die":
        (folder / f".staging-{os.getpid()}").mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
    while mode == "work" and not is_told:
        time.sleep(0.02)
    if mode == "reject":
        runs.finish(run.run_id, owner, "rejected", "worse")
    else:
        runs.requeue(run.run_id, owner, "stopped")
    return 0


def note(folder: Path) -> None:
    own = {
        "pid": os.getpid(),
        "policy": os.sched_getscheduler(0),
        "nice": os.nice(0),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    }
    partial = folder / f"partial-{os.getpid()}"
    partial.write_text(json.dumps(own), encoding="ascii")
    partial.rename(folder / f"trainer-{os.getpid()}")


if __name__ == "__main__":
    sys.exit(main())
