"""The full-size benchmark as Markdown; a figure that was not measured is left out, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_GB = 1e9


def to_markdown(report: Mapping[str, Any]) -> str:
    """Tables of the conversion, the cases and the comparison."""
    layers = ", ".join(f"{slot} {count}" for slot, count in report["layers"].items())
    head = (
        f"{report['machine']}, {report['threads']} threads, {report['date']}; random weights of full size, "
        f"{report['quantization']}, layers: {layers}"
    )
    parts = [[head], _conversion(report["conversion"]), _cases(report), _lengths(report), _comparison(report)]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _conversion(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| conversion | minutes | peak anonymous GB | limit GB | folder GB |"
    yield "|---|---|---|---|---|"
    for slot, row in reports.items():
        limit = f"{row['limit_bytes'] / _GB:.1f}" if row["limit_bytes"] else "none set"
        yield (
            f"| {slot} | {row['seconds'] / 60:.1f} | {row['peak_anonymous_bytes'] / _GB:.2f} | {limit} "
            f"| {row['bytes'] / _GB:.1f} |"
        )


def _cases(report: Mapping[str, Any]) -> Iterator[str]:
    yield "| case | n | p50 s | p99 s | read from disk, median | read from disk, most |"
    yield "|---|---|---|---|---|---|"
    for kind, row in report["kinds"].items():
        yield (
            f"| {kind} | {row['cases']} | {row['p50_ms'] / 1000:.2f} | {row['p99_ms'] / 1000:.2f} "
            f"| {row['disk_bytes_median'] / 1e6:.1f} MB | {row['disk_bytes_max'] / 1e6:.1f} MB |"
        )
    yield ""
    yield f"- ready after {report['first_start_s']:.0f} s at the first start, {report['start_s']:.0f} s at the next"
    yield f"- anonymous memory at most {report['peak_anonymous_bytes'] / _GB:.2f} GB"
    if report["limit"] is None:
        yield "- no memory limit was set: this process may not make a cgroup"
    else:
        limit = report["limit"]
        yield (
            f"- under a limit of {report['limit_bytes'] / _GB:.1f} GB, page cache counted: peak "
            f"{limit['peak_bytes'] / _GB:.2f} GB, out-of-memory kills {limit['oom_kills']}, "
            f"limit reached {limit['limit_hits']} times"
        )


def _lengths(report: Mapping[str, Any]) -> Iterator[str]:
    rows = report["lengths"]
    yield "| tokens of text | " + " | ".join(str(row["tokens"]) for row in rows) + " |"
    yield "|---" * (len(rows) + 1) + "|"
    yield "| seconds | " + " | ".join(f"{row['ms'] / 1000:.2f}" for row in rows) + " |"


def _comparison(report: Mapping[str, Any]) -> Iterator[str]:
    if (found := report.get("llama_cpp")) is None:
        return
    yield f"| {found['tokens']} tokens of text, {found['threads']} threads, {found['rounds']} rounds | seconds |"
    yield "|---|---|"
    yield f"| one case through the service, everything | {found['service_s']:.2f} |"
    for name, seconds in found["llama_cpp_s"].items():
        yield f"| llama.cpp Q4_K_M, both shapes, {name} | {seconds:.2f} |"
    yield ""
    for depth, ratio in found["ratio"].items():
        counts = ", ".join(f"{slot} {count}" for slot, count in found["layers"][depth].items())
        yield f"- service / llama.cpp at {depth} depth ({counts}), its faster setting: {ratio:.2f}"
