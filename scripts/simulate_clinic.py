#!/usr/bin/env python
"""A clinic in which three conditions have got a new local meaning: does the loop learn it, and forget nothing?

python scripts/simulate_clinic.py --data ../shared/data

Starts a service and a learner of its own on an empty database, has clinicians send dev cases and say what they were,
one in ten of them wrongly, waits for the loop, and measures other cases through the API: before, and after each round.
Writes docs/learning/clinic.json, clinic.png and change records, and the figures of docs/LEARNING.md.
Exit status 1 where the figures that docs/LEARNING.md asks for are not reached.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.domain import Language
from app.evaluation.clinic import Clinic, learner
from app.evaluation.clinic_cases import DRIFT, ClinicPlan, PlanOptions, plan
from app.evaluation.clinic_report import MARKS, measurement, outcome, request_figures, run_summary, section
from app.evaluation.model_card import with_section
from app.evaluation.plots import plot_clinic
from app.evaluation.service import measured_service
from app.knowledge.base import KnowledgeBase
from app.training.datasets import DataFolder
from app.training.phrasebook import LANGUAGES, Phrasebook

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ROOT / "tests/quality"
DOCUMENT = ROOT / "docs/LEARNING.md"
OUT = ROOT / "docs/learning"


def simulate(cases: ClinicPlan, work: Path, options: argparse.Namespace) -> tuple[dict[str, Any], dict[Language, str]]:
    """Figures, and the change record of the last promoted run in each language (none where none was promoted)."""
    keys, admin_key = [secrets.token_urlsafe(24) for _ in range(options.clinicians)], secrets.token_urlsafe(24)
    env = {
        "API_KEYS": ",".join(keys),
        "ADMIN_KEYS": admin_key,
        "DATABASE_URL": f"sqlite:///{work}/clinic.db",
        "VERSIONS_DIR": str(work / "versions"),
        "LOG_LEVEL": "INFO",
        "LORA_ENABLED": "true",
    }
    knowledge = KnowledgeBase.load()

    def name_of(condition: str, language: Language) -> str:
        return knowledge.conditions[condition].name.get(language)

    with (
        measured_service(None, {**env, "LOG_LEVEL": "WARNING"}) as service,
        learner(env, work / "learner.log") as worker,
        _closing(Clinic(service.url, keys, admin_key, name_of)) as clinic,
    ):
        probes = [case for members in cases.measured.values() for case in members[:20] if not case.is_drifted]
        measurements = [measurement(0, cases.measured, clinic.measure(cases.measured))]
        runs: dict[str, Any] = {}
        settled = []
        for number in range(1, options.rounds + 1):
            done, upto = ((len(cases.visits) * step) // options.rounds for step in (number - 1, number))
            clinic.see(cases.visits[done:upto])
            settled.append(clinic.settle(probes, worker.check, options.timeout))
            measurements.append(measurement(upto, cases.measured, clinic.measure(cases.measured)))
            runs |= {run["run_id"]: run_summary(run) for run in reversed(clinic.learning()["last_runs"])}
            print(json.dumps({"round": number, "runs": list(runs.values()), **_short(measurements[-1])}), flush=True)
        promoted = [run_id for run_id, run in runs.items() if run["state"] == "promoted"]
        records = {language: clinic.change_record(promoted[-1], language) for language in LANGUAGES if promoted}
        requests = request_figures(clinic.statuses())
    report = {
        "measurements": measurements,
        "runs": list(runs.values()),
        "rounds": [asdict(one) for one in settled],
        "swap_s": [list(one.swap_s) for one in settled],
        "requests": requests,
        "outcome": outcome(measurements, requests),
    }
    return report, records


@contextlib.contextmanager
def _closing(clinic: Clinic) -> Iterator[Clinic]:
    try:
        yield clinic
    finally:
        clinic.close()


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("analyses", "version", "drifted", "rest", "conditions")}


def write(report: Mapping[str, Any], records: Mapping[Language, str], out: Path, document: Path | None) -> None:
    """The report's files; and the figures into the document, where one is given."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "clinic.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    plot_clinic(out / "clinic.png", report["measurements"])
    for language, text in records.items():
        (out / f"change_record.{language}.md").write_text(text, encoding="utf-8")
    if document is not None:
        text = document.read_text(encoding="utf-8")
        for language, marks in MARKS.items():
            text = with_section(text, section(report, language), *marks)
        document.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the public data folder")
    parser.add_argument("--visits", type=int, default=400, help="analyses with feedback")
    parser.add_argument("--rounds", type=int, default=4, help="after each of them the loop is waited for and measured")
    parser.add_argument("--clinicians", type=int, default=4, help="API keys")
    parser.add_argument("--wrong", type=float, default=0.1, help="share of wrong corrections")
    parser.add_argument("--drift", nargs="+", metavar="OLD=NEW", help="condition ids, in place of the usual three")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds to wait for the loop after a round")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--keep", type=Path, help="an empty folder for the database, the versions and the learner's log"
    )
    parser.add_argument("--no-document", action="store_true", help="leave docs/LEARNING.md as it is")
    options = parser.parse_args()
    drift = dict(pair.split("=", 1) for pair in options.drift) if options.drift else dict(DRIFT)
    wanted = PlanOptions(options.visits, options.wrong, drift, options.seed)
    cases = plan(DataFolder(options.data), Phrasebook.load(), WRITTEN, wanted)
    with tempfile.TemporaryDirectory(prefix="clinic-") as temporary:
        report, records = simulate(cases, options.keep or Path(temporary), options)
    settings = {**asdict(wanted), "clinicians": options.clinicians, "rounds": options.rounds}
    head = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.platform(), "settings": settings}
    write({**head, **report}, records, options.out, None if options.no_document else DOCUMENT)
    print(json.dumps(report["outcome"]))
    return 0 if report["outcome"]["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
