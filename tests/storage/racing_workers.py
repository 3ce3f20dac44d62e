"""A worker among several. `python -m tests.storage.racing_workers URL NAME START SECONDS`

From the moment START (Unix time) on it opens, claims and ends runs as fast as it can, and leaves one in three to be
taken up by another, as if it had died. Prints `<run id> <attempt>` for each claim.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing, suppress

from app.errors import ConflictError, LeaseLostError
from app.storage.database import open_database
from app.storage.runs import RunRepository

LEASE_S = 0.02
MANY_ATTEMPTS = 1000


def work(runs: RunRepository, name: str, end: float) -> None:
    turn = 0
    while time.time() < end:
        turn += 1
        with suppress(ConflictError):  # another one opened a run
            runs.open("automatic", "worker", {})
        owner = f"{name}-{turn}"
        run = runs.claim(owner, LEASE_S, MANY_ATTEMPTS)
        if run is None:
            continue
        print(run.run_id, run.attempts)
        if turn % 3:
            with suppress(LeaseLostError):  # slower than its lease, and another one took over
                runs.finish(run.run_id, owner, "failed", f"by_{owner}")


def main() -> None:
    url, name, start, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    with closing(open_database(url)) as database:
        time.sleep(max(start - time.time(), 0))
        work(RunRepository(database), name, start + seconds)


if __name__ == "__main__":
    main()
