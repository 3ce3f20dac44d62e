#!/usr/bin/env python
"""Speed and memory of the service: JSON and a Markdown table.

python scripts/benchmark.py                        starts a service of its own, embedding cache off
python scripts/benchmark.py --load-seconds 60      the full overload run: 16 clients against a queue of 8
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.service import MeasuredService, measured_service
from app.evaluation.speed import KINDS, latency, overload, throughput


def benchmark(service: MeasuredService, cases: int, load_seconds: float) -> dict[str, Any]:
    """Every kind of case, throughput, overload; numbers of cases never repeat."""
    result: dict[str, Any] = {"ready_s": service.ready_s, "latency": {}}
    for position, kind in enumerate(KINDS):
        result["latency"][kind] = latency(service, kind, cases, first=position * 10_000)
    result["throughput"] = throughput(service, clients=4, seconds=min(20.0, load_seconds), first=100_000)
    result["overload"] = overload(service, clients=16, seconds=load_seconds, first=200_000)
    result["resident_mb"] = service.resident_mb()
    return result


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"{report['machine']}, {report['cores']} cores, {report['date']}",
        "",
        "| case | p50 ms | p99 ms |",
        "|---|---|---|",
    ]
    for kind, row in report["latency"].items():
        lines.append(f"| {kind} | {row['p50_ms']} | {row['p99_ms']} |")
    load = report["overload"]
    lines += [
        "",
        f"- ready after {report['ready_s']:.1f} s" if report["ready_s"] else "- service was running already",
        f"- {report['throughput']['cases_per_s']} text cases/s with {report['throughput']['clients']} clients",
        f"- {load['clients']} clients for {load['seconds']:.0f} s: {load['statuses']}, "
        f"admitted p99 {load['admitted']['p99_ms']} ms",
        f"- resident memory {report['resident_mb']:.0f} MB" if report["resident_mb"] else "- memory not measured",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running service; without it one is started")
    parser.add_argument("--cases", type=int, default=50, help="cases of each kind")
    parser.add_argument("--load-seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    with measured_service(options.url, {"CACHE_ENABLED": "false", "QUEUE_SIZE": "8"}) as service:
        result = benchmark(service, options.cases, options.load_seconds)
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        **result,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "benchmark.md").write_text(to_markdown(report), encoding="utf-8")
    print(to_markdown(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
