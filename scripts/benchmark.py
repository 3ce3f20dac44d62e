#!/usr/bin/env python
"""Speed and memory of the service: JSON and a Markdown table.

python scripts/benchmark.py                        starts a service of its own, embedding cache off
python scripts/benchmark.py --load-seconds 60      the full overload run: 16 clients against a queue of 8
python scripts/benchmark.py --full WORK            random weights of the full size, under a memory limit of 8 GB,
                                                   beside llama.cpp where --llama-bench names it (build_llama_bench.sh)

--full makes what is missing below WORK (35 GB of disk while it converts, 20 GB afterwards) and keeps it. On a machine
that does other work at the same time the figures are worth nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
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


def full_size_benchmark(options: argparse.Namespace) -> int:
    """Builds the random pair where needed, measures it and writes full_size.{json,md} and two plots."""
    from app.evaluation.full_size_build import FullPair
    from app.evaluation.full_size_report import to_markdown as full_size_markdown
    from app.evaluation.full_size_run import RunOptions, measure
    from app.evaluation.plots import plot_lengths, plot_memory

    pair = FullPair(
        work=options.full.absolute(),
        quantization=options.quantization,
        layers={"omni": options.omni_layers, "medical": options.medical_layers},
        keep_checkpoints=options.keep,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    conversion = pair.build()
    run = RunOptions(
        threads=options.threads,
        limit_bytes=int(options.limit_gb * 1e9),
        cases=options.cases,
        rounds=options.rounds,
        llama_bench=options.llama_bench,
    )
    report = {
        **_machine(),
        "threads": run.threads,
        "quantization": pair.quantization,
        "layers": dict(pair.layers),
        "limit_bytes": run.limit_bytes,
        "conversion": conversion,
        **measure(pair, run),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "full_size.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "full_size.md").write_text(full_size_markdown(report), encoding="utf-8")
    plot_lengths(options.out / "full_size_lengths.png", report["lengths"])
    plot_memory(options.out / "full_size_memory.png", report["memory"], run.limit_bytes if report["limit"] else None)
    print(full_size_markdown(report))
    return 0


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running service; without it one is started")
    parser.add_argument("--cases", type=int, default=50, help="cases of each kind")
    parser.add_argument("--load-seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("reports"))
    full = parser.add_argument_group("the full pair's size")
    full.add_argument("--full", type=Path, metavar="WORK", help="measure random weights of full size, kept in WORK")
    full.add_argument("--quantization", choices=("int8", "int4", "fp16"), default="int8")
    full.add_argument("--omni-layers", type=int, default=9, metavar="K", help="of 28")
    full.add_argument("--medical-layers", type=int, default=11, metavar="K", help="of 32")
    full.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    full.add_argument("--limit-gb", type=float, default=8.0, help="memory of the service, page cache counted")
    full.add_argument("--llama-bench", type=Path, metavar="PROGRAM", help="compare with llama.cpp's llama-bench")
    full.add_argument("--rounds", type=int, default=5, help="of the comparison")
    full.add_argument("--keep", action="store_true", help="keep the random checkpoints (34 GB) once converted")
    return parser


def main() -> int:
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if options.full is not None:
        return full_size_benchmark(options)
    with measured_service(options.url, {"CACHE_ENABLED": "false", "QUEUE_SIZE": "8"}) as service:
        result = benchmark(service, options.cases, options.load_seconds)
    report = {**_machine(), **result}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "benchmark.md").write_text(to_markdown(report), encoding="utf-8")
    print(to_markdown(report))
    return 0


def _stop(signal_number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the started service too, as Ctrl-C does."""
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    raise SystemExit(main())
