#!/usr/bin/env python
"""One learning run by hand: what the learner would do with the feedback that waits, here and now.

    python scripts/train_lora.py             opens a run, does it in the foreground, and promotes what passes the gate
    python scripts/train_lora.py --dry-run   trains and judges, tells the outcome, and writes nothing

Reads the same settings as the service (.env, environment). Exit status 0 where a version was promoted, or would be; 1
where the run ended otherwise; 2 where there was nothing to do.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.errors import AppError, ConflictError
from app.learning.candidate import make_candidate
from app.learning.job import make_plan
from app.learning.machine import lower_priority
from app.learning.runner import main as run_attempt
from app.serving_version import version_registry
from app.settings import Settings
from app.storage.database import Database, open_database
from app.storage.feedback_queue import FeedbackQueue
from app.storage.runs import RunRepository

NOTHING_TO_DO = 2
OPERATOR = "operator"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="write nothing: no run, no version")
    options = parser.parse_args()
    try:
        settings = Settings.load()
        database = open_database(settings.database_url)
    except AppError as error:
        print(f"medmodal: {error}", file=sys.stderr)
        return NOTHING_TO_DO
    lower_priority()
    try:
        return _try(settings, database) if options.dry_run else _run(settings, database)
    except AppError as error:
        print(f"medmodal: {error}", file=sys.stderr)
        return NOTHING_TO_DO
    finally:
        database.close()


def _try(settings: Settings, database: Database) -> int:
    plan = make_plan(settings, FeedbackQueue(database), version_registry(settings), settings.run_settings)
    print(f"parent {plan.parent.version}; feedback: {plan.selection.counts or 'none'}")
    try:
        candidate = make_candidate(plan, _tell)
    except ValueError as error:
        print(f"nothing to learn: {error}", file=sys.stderr)
        return NOTHING_TO_DO
    print()
    for check in candidate.verdict.checks:
        print(
            f"{'passed' if check.passed else 'FAILED':6} {check.name:20} {check.serving:9.4f} -> {check.candidate:9.4f}"
        )
    print("would be promoted" if candidate.verdict.promotes else "would be rejected")
    return 0 if candidate.verdict.promotes else 1


def _run(settings: Settings, database: Database) -> int:
    runs = RunRepository(database)
    try:
        run = runs.open("manual", OPERATOR, settings.run_settings)
    except ConflictError as error:
        print(f"medmodal: a run is active: {error.params.get('run_id')}", file=sys.stderr)
        return NOTHING_TO_DO
    print(f"{run.run_id} opened")
    run_attempt(["--owner", f"by-hand:{secrets.token_hex(8)}"])
    ended = runs.get(run.run_id)
    print(f"{ended.run_id} {ended.state}" + (f" ({ended.reason})" if ended.reason else ""))
    if ended.state == "promoted":
        print(f"version {ended.candidate_version} is active; back again: python -m app.activate {ended.parent_version}")
        return 0
    return 1


def _tell(step: str, share: float, figures: Mapping[str, float]) -> None:
    told = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"\r{step:12} {100 * share:3.0f} % {told:60}", end="", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
