"""Writers that are killed. `python -m tests.storage.crash_writer URL after|during ROUNDS SEED`

Prints the id of every row whose `add` returned before SIGKILL came:
  after   each writer kills itself as soon as its one `add` returned
  during  each writer goes on writing until it is killed at a random moment
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time

from app.storage.analyses import AnalysisRepository
from app.storage.database import open_database
from app.storage.feedback import FeedbackRepository
from tests.storage.samples import analysis, evidence, give

READ_SIZE = 1 << 16


def write(url: str, acknowledge: int, *, once: bool) -> None:
    """In the child: never returns."""
    database = open_database(url)
    analyses, feedback = AnalysisRepository(database), FeedbackRepository(database)
    turn = os.urandom(1)[0]  # not the process id: beside a server that forks as well they can be all odd
    while True:
        if turn % 2:
            case = analysis()
            analyses.add(case, evidence(), text=None)
            written = case.analysis_id
        else:
            written = give(feedback).feedback_id
        os.write(acknowledge, f"{written}\n".encode())
        if once:
            os.kill(os.getpid(), signal.SIGKILL)
        turn += 1


def run_round(url: str, moment: float | None) -> bytes:
    """`moment`: seconds from the first written row to the kill; None for a writer that kills itself."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(url, writer, once=moment is None)
        finally:
            os._exit(1)
    os.close(writer)
    if moment is not None:
        select.select([reader], [], [], 30)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    acknowledged = b""
    while chunk := os.read(reader, READ_SIZE):
        acknowledged += chunk
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("a writer ended by itself")
    return acknowledged


def main() -> None:
    url, mode, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    moments = random.Random(seed)
    for _ in range(rounds):
        acknowledged = run_round(url, moments.uniform(0, 0.03) if mode == "during" else None)
        sys.stdout.buffer.write(acknowledged)


if __name__ == "__main__":
    main()
