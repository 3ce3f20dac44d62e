#!/usr/bin/env python
"""What training costs: time and memory of one run on 500 rows, and how much longer text cases take meanwhile.

    python scripts/measure_learning.py [--rows 500] [--json out.json]

Twice the same run: alone on one core, then beside a service that answers one text case after another on all cores.
The waiting times are compared with those just before and after, in the same run of this script.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.learning_load import Desk
from app.evaluation.service import MeasuredService, measured_service
from app.evaluation.speed import percentiles, text_case
from app.fusion.artifact import load_artifact
from app.learning.cases import LearningSets, load_learning_sets
from app.learning.trainer import Trainer
from app.served import encoder_versions, served_manifests
from app.settings import Settings
from app.storage.database import Database, open_database
from app.storage.runs import RunRepository

QUIET_CASES = 120
CORRECTED = 0.15
KEYS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medmodal-") as folder:
        figures = {
            "rows": options.rows,
            "cores": len(os.sched_getaffinity(0)),
            "alone_on_one_core": _alone(Path(folder) / "alone", options.rows),
            "beside_the_service": _beside(Path(folder) / "beside", options.rows),
        }
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _alone(folder: Path, rows: int) -> dict[str, Any]:
    cores = os.sched_getaffinity(0)
    with _queue(folder, rows) as (database, _):
        os.sched_setaffinity(0, {min(cores)})
        try:
            run_id, seconds, peak = _train(database, lambda: time.sleep(0.2))
        finally:
            os.sched_setaffinity(0, cores)
        return _run_figures(database, run_id, seconds, peak)


def _beside(folder: Path, rows: int) -> dict[str, Any]:
    with _queue(folder, rows) as (database, env), measured_service(None, env) as service:
        numbers = iter(range(10_000_000))
        with httpx.Client(base_url=service.url, timeout=60.0) as client:
            times: dict[str, list[float]] = {"before": [], "during": [], "after": []}

            def ask(when: str) -> None:
                body = text_case(next(numbers))
                started = time.perf_counter()
                client.post("/api/v1/analyze", json=body).raise_for_status()
                times[when].append(1000 * (time.perf_counter() - started))

            for _ in range(QUIET_CASES):
                ask("before")
            run_id, seconds, peak = _train(database, lambda: ask("during"))
            for _ in range(QUIET_CASES):
                ask("after")
        return {
            **_run_figures(database, run_id, seconds, peak),
            "service_resident_mb": _resident(service),
            "text_ms": {when: percentiles(found[2:]) for when, found in times.items()},
            "p50_ratio": round(_p50(times["during"]) / _p50(times["before"] + times["after"]), 3),
        }


def _train(database: Database, meanwhile: Any) -> tuple[str, float, float]:
    """Run id, seconds from start to end of the training process, and its peak of resident memory in MB."""
    run = RunRepository(database).open("manual", "", Settings.load().run_settings)
    trainer, peak = Trainer(), 0.0
    started = time.monotonic()
    trainer.start(run.run_id)
    while trainer.is_running:
        peak = max(peak, _peak_mb(trainer.pid))
        meanwhile()
    if trainer.ended() != 0:
        raise RuntimeError(f"the trainer ended with {trainer.ended()}")
    return run.run_id, time.monotonic() - started, peak


def _run_figures(database: Database, run_id: str, seconds: float, peak: float) -> dict[str, Any]:
    run = RunRepository(database).get(run_id)
    if run.report is None:
        raise RuntimeError(f"the run ended as {run.state} ({run.reason}) before its gate")
    training = run.report["protocol"]["training"]
    return {
        "state": run.state,
        "counts": dict(run.counts),
        "steps": training["steps"],
        "training_s": training["seconds"],
        "whole_run_s": round(seconds, 1),
        "peak_resident_mb": round(max(peak, training["peak_memory_bytes"] / 1e6), 0),
    }


@contextmanager
def _queue(folder: Path, rows: int) -> Iterator[tuple[Database, dict[str, str]]]:
    """A database with so many verdicts on cases of the learning sets, and the settings that find it."""
    folder.mkdir()
    env = {
        "DATABASE_URL": f"sqlite:///{folder}/medmodal.db",
        "VERSIONS_DIR": str(folder / "versions"),
        "CACHE_ENABLED": "false",
        "LOG_LEVEL": "WARNING",
    }
    os.environ.update(env)
    settings = Settings.load()
    config = load_artifact(settings.fusion_weights_path).config
    sets = load_learning_sets(settings.learning_data_path, config)
    database = open_database(settings.database_url)
    desk = Desk(database, config, encoder_versions(served_manifests(settings)))
    rng = random.Random(0)
    for number, case in enumerate(rng.sample(_known(sets), rows)):
        label = rng.randrange(len(config.conditions)) if rng.random() < CORRECTED else case.condition
        desk.see(case, label, caller=f"key {number % KEYS}")
    try:
        yield database, env
    finally:
        database.close()


def _known(sets: LearningSets) -> list[Any]:
    return [case for case in (*sets.calibration.cases, *sets.replay.cases) if case.condition >= 0]


def _peak_mb(pid: int | None) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)


def _p50(times: list[float]) -> float:
    return float(percentiles(times)["p50_ms"])


def _resident(service: MeasuredService) -> float | None:
    resident = service.resident_mb()
    return None if resident is None else round(resident, 0)


if __name__ == "__main__":
    raise SystemExit(main())
