#!/usr/bin/env python
"""Kill the service and the learner with SIGKILL, again and again, and see whether everything that must hold holds.

    python scripts/chaos.py --kills 50 --out docs/learning/chaos.json

A fresh database and versions folder; clients that write verdicts all the while. Exit status 0: every verdict that was
answered with 201 is stored exactly once, the version pointer was whole whenever it was read, every run came to an end,
and `python -m app.verify` passes. The gate is open: it judges every candidate and lets it pass, so that versions change
all the while.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.chaos import ChaosOptions, report_text, run_chaos
from app.evaluation.chaos_cases import phrasebook_cases, reduced_learning_sets
from app.evaluation.chaos_site import Site
from app.evaluation.chaos_trainer import chaos_learner
from app.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and targets")
    parser.add_argument("--cases", type=int, default=0, help="of each learning set, for quicker runs; 0: all")
    parser.add_argument("--steps", type=int, default=60, help="of each training; 0: as many as always")
    parser.add_argument("--min-feedback", type=int, default=20, help="verdicts that open a run")
    parser.add_argument("--folder", type=Path, help="an empty one for database, versions and logs, which is kept")
    parser.add_argument("--out", type=Path, help="where the report is written, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medmodal-chaos-") as name:
        folder = Path(arguments.folder or name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "LEARNING_MIN_FEEDBACK": str(arguments.min_feedback),
            "LEARNING_POLL_S": "0.5",
            "LEARNING_LEASE_S": "5",
            "LOG_LEVEL": "INFO",
        }
        if arguments.cases:
            reduced_learning_sets(Settings.load(), folder / "learning", arguments.cases)
            settings["LEARNING_DATA_PATH"] = str(folder / "learning")
        with Site(folder, settings, chaos_learner(arguments.steps)) as site:
            options = ChaosOptions(kills=arguments.kills, seed=arguments.seed)
            report = run_chaos(site, phrasebook_cases(), options, lambda line: print(line, flush=True))
    print(report_text(report), end="")
    if arguments.out is not None:
        arguments.out.write_text(report_text(report), encoding="utf-8")
    return 1 if report["troubles"] else 0


if __name__ == "__main__":
    sys.exit(main())
