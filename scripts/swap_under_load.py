#!/usr/bin/env python
"""Versions that change under load, on the embedded pair: no error, no mixed answer, and how long cases wait meanwhile.

python scripts/swap_under_load.py                  8 clients; 3 promotions and a rollback, 10 times over
python scripts/swap_under_load.py --cached         cases that the embedding cache knows: the network is most of the work
python scripts/swap_under_load.py --json out.json  the figures as JSON, too

Starts a service of its own with versions of its own. Exit status 1 where an answer was missing, named a version and
said what another one says, came later than 5 seconds after the switch, or where going back did not give the same bytes.
On a machine that does other work at the same time the waiting times are worth nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.service import MeasuredService, measured_service
from app.evaluation.swapping import NOTICED_S, Load, Swap, ask, mixed_versions, percentiles_ms, swap
from app.evaluation.variants import publish_variant
from app.versions.registry import VersionRegistry

BASE = Path("models/embedded/fusion")
CLIENTS = 8
CASES = range(40)
PROMOTIONS = 3
QUIET_S = 3.0
"""Between two swaps: the usual waiting times are taken from as long a time before each swap as the swap itself took."""


def measure(service: MeasuredService, registry: VersionRegistry, rounds: int) -> dict[str, Any]:
    base = registry.base_version
    order = [*(publish_variant(registry, seed) for seed in range(1, PROMOTIONS + 1)), base]
    with httpx.Client(base_url=service.url, timeout=60.0) as client:
        expected = {(base, case): ask(client, case).body for case in CASES}
        before = dict(expected)
        for version in order:  # what each version says, asked in peace
            activate(client, version)
            wait_for(client, version)
            expected |= {(version, case): ask(client, case).body for case in CASES}
        is_identical = before.items() <= expected.items()
        resident_before = service.resident_mb()
        swaps: list[Swap] = []
        with Load(service.url, CLIENTS, CASES) as load:
            for version in order * rounds:
                time.sleep(QUIET_S)
                swaps.append(swap(load, lambda wanted: activate(client, wanted), version))
            time.sleep(QUIET_S)
        is_identical = is_identical and all(ask(client, case).body == before[base, case] for case in CASES)
    during = [(one.switched, one.answered) for one in swaps]
    usual = [(one.switched - min(one.seconds, QUIET_S), one.switched) for one in swaps]
    return {
        "clients": CLIENTS,
        "swaps": len(swaps),
        "answers": len(load.answers),
        "errors": sum(load.errors.values()) + sum(answer.status != httpx.codes.OK for answer in load.answers),
        "mixed": len(mixed_versions(load.answers, expected)),
        "rollback_identical": is_identical,
        "slowest_swap_s": round(max(one.seconds for one in swaps), 2),
        "usual": percentiles_ms(load.answers, usual),
        "during_swaps": percentiles_ms(load.answers, during),
        "resident_mb_before": resident_before,
        "resident_mb_after": service.resident_mb(),
    }


def activate(client: httpx.Client, version: str) -> None:
    client.post(f"/api/v1/versions/{version}/activate").raise_for_status()


def wait_for(client: httpx.Client, version: str) -> None:
    deadline = time.monotonic() + NOTICED_S
    while ask(client, CASES[0]).version != version:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{version} does not answer")
        time.sleep(0.05)


def is_sound(report: dict[str, Any]) -> bool:
    whole = report["errors"] == report["mixed"] == 0 and report["rollback_identical"]
    return bool(whole and report["slowest_swap_s"] <= NOTICED_S)


def to_markdown(report: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {row['answers']} | {row['p50_ms']} | {row['p90_ms']} | {row['p99_ms']} |"
        for name, row in (("usual", report["usual"]), ("while a version changes", report["during_swaps"]))
    ]
    ratio = report["during_swaps"]["p99_ms"] / report["usual"]["p99_ms"]
    return "\n".join(
        [
            f"{report['clients']} clients, {report['swaps']} changes of version, {report['answers']} answers: "
            f"{report['errors']} errors, {report['mixed']} mixed; going back gives the same bytes: "
            f"{'yes' if report['rollback_identical'] else 'NO'}; slowest change {report['slowest_swap_s']} s",
            "",
            "| answers | number | p50 ms | p90 ms | p99 ms |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"p99 while a version changes: {ratio:.2f} times the usual; resident memory "
            f"{report['resident_mb_before']:.0f} MB before, {report['resident_mb_after']:.0f} MB after",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of 3 promotions and a rollback")
    parser.add_argument("--cached", action="store_true", help="keep the embedding cache on")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    os.chdir(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory(prefix="medmodal-versions-") as folder:
        env = {"VERSIONS_DIR": folder, "CACHE_ENABLED": str(options.cached).lower(), "ADMIN_KEYS": ""}
        with measured_service(None, env) as service:
            report = measure(service, VersionRegistry(Path(folder), BASE), options.rounds)
    sys.stdout.write(to_markdown(report) + "\n")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if is_sound(report) else 1


if __name__ == "__main__":
    sys.exit(main())
