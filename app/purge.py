"""`python -m app.purge`: remove analyses with all that belongs to them, and say which versions had learnt from them.

python -m app.purge --analysis an_...         one, by the id that its answer had
python -m app.purge --older-than-days 365     all of that age, and feedback of that age about none
python -m app.purge --expired                 all that is older than RETENTION_DAYS

Also while the service runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from app.errors import AppError, NotFoundError
from app.observability import configure_logging
from app.settings import Settings
from app.storage.database import open_existing_database
from app.storage.purging import Purger, PurgeReport

OPERATOR = "operator"
"""The actor of what was done at the command line."""
EXIT_REFUSED = 1
EXIT_BAD_SETTINGS = 2
_MOST_DAYS = 36_500
_NOT_WIPED = "somebody is reading: SQLite's write-ahead log still holds what was removed. Run this again in a while"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 for an unknown analysis and for what could not be done whole, 2 for a bad setting."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings.load()
    except AppError as error:
        return _refuse(f"bad setting {error.params['setting']}: {error.params['reason']}", EXIT_BAD_SETTINGS)
    if asked.expired and not settings.retention_days:
        return _refuse("RETENTION_DAYS is 0: nothing expires", EXIT_BAD_SETTINGS)
    configure_logging("WARNING", settings.log_format)
    days: int | None = settings.retention_days if asked.expired else asked.older_than_days
    try:
        with closing(open_existing_database(settings.database_url)) as database:
            return _purge(Purger(database, actor=OPERATOR), asked.analysis, days, in_json=asked.json)
    except AppError as error:
        return _refuse(str(error), EXIT_REFUSED)


def _purge(purger: Purger, analysis_id: str | None, days: int | None, *, in_json: bool) -> int:
    reports: tuple[PurgeReport, ...] = ()
    try:
        if analysis_id is not None:
            reports = (purger.purge_analysis(analysis_id),)
        elif days is not None:
            reports = purger.purge_older_than(datetime.now(UTC) - timedelta(days=days))
        is_wiped = all(report.is_wiped for report in reports)
    except NotFoundError as error:
        is_wiped = purger.wipe()  # what an earlier call has removed may be there still
        return _refuse(str(error) if is_wiped else _NOT_WIPED, EXIT_REFUSED)
    told = _summary(reports)
    sys.stdout.write(f"{json.dumps(told, indent=1)}\n" if in_json else _in_words(told))
    return 0 if is_wiped else _refuse(_NOT_WIPED, EXIT_REFUSED)


def _summary(reports: Sequence[PurgeReport]) -> dict[str, Any]:
    """Totals, and each purge as the audit log has it."""
    versions = {version for report in reports for version in report.versions}
    descendants = {version for report in reports for version in report.descendants}
    return {
        "analyses": sum(report.analyses for report in reports),
        "embeddings": sum(report.embeddings for report in reports),
        "feedback": sum(report.feedback for report in reports),
        "versions": sorted(versions),
        "descendants": sorted(descendants - versions),
        "stopped_runs": sorted({report.stopped_run for report in reports if report.stopped_run}),
        "purges": [asdict(report) for report in reports],
    }


def _in_words(told: dict[str, Any]) -> str:
    lines = [f"removed {told['analyses']} analyses, {told['embeddings']} embeddings, {told['feedback']} feedback"]
    if told["versions"]:
        lines.append(f"versions that had learnt from them: {', '.join(told['versions'])}")
    else:
        lines.append("no version had learnt from them")
    if told["descendants"]:
        lines.append(f"versions made from those or after them: {', '.join(told['descendants'])}")
    if told["stopped_runs"]:
        lines.append(f"training runs stopped, for they used them: {', '.join(told['stopped_runs'])}")
    return "".join(f"{line}\n" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.purge", description="Remove analyses with all that belongs to them, for good."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--analysis", metavar="ID", help="one analysis, by the id that its answer had")
    which.add_argument("--older-than-days", metavar="N", type=_days, help="everything of that age")
    which.add_argument("--expired", action="store_true", help="everything older than RETENTION_DAYS")
    parser.add_argument("--json", action="store_true", help="what was removed, for programs")
    return parser


def _days(given: str) -> int:
    """At least one: 0 would be everything."""
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {_MOST_DAYS}")
    return int(given)


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"medmodal: {reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
