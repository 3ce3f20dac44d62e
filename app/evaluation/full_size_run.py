"""The full pair measured: starts, mixed cases under a memory limit, latency by length, and llama.cpp side by side."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from app.evaluation.cgroup import MemoryGroup, forget, memory_group_if_possible
from app.evaluation.full_size import Slot
from app.evaluation.full_size_build import FullPair
from app.evaluation.full_size_cases import KINDS, CaseMaker
from app.evaluation.full_size_watch import MemoryWatch, disk_reads
from app.evaluation.llama_cpp import run_llama_bench
from app.evaluation.service import MeasuredService, measured_service
from app.evaluation.speed import Request, percentiles

TEXT_LENGTHS = (16, 32, 64, 128, 256, 512)
_START_TIMEOUT_S = 1800.0
_CASE_TIMEOUT_S = 300.0
_FIRST_OF_LENGTHS, _FIRST_OF_ROUNDS = 10_000, 20_000
"""Case numbers, so that no text comes twice."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to measure. `llama_bench` None: no comparison."""

    threads: int
    limit_bytes: int
    cases: int = 50
    text_tokens: int = 100
    rounds: int = 5
    llama_bench: Path | None = None


def measure(pair: FullPair, options: RunOptions) -> dict[str, Any]:
    """Everything, on a pair that is built. RuntimeError where the service does not start or dies on the way."""
    folders = [pair.work / name for name in ("omni", "medical", "fusion", "prepared")]
    maker = CaseMaker((pair.work / "omni", pair.work / "medical"))
    pair.say("first start: prepares the weights where that is still to be done")
    forget(folders)
    with _service(pair, options) as (service, _):
        first_s = service.ready_s
    pair.say("second start, then the cases")
    forget(folders)
    with _service(pair, options) as (service, group):
        result = {"first_start_s": first_s, "start_s": service.ready_s, **_serve(service, group, maker, options)}
        result["limit"] = _limit(group)
        if options.llama_bench is not None:
            pair.say("llama.cpp and the service in turn")
            result["llama_cpp"] = compare(pair, options.llama_bench, service, maker, options)
    return result


@contextmanager
def _service(pair: FullPair, options: RunOptions) -> Iterator[tuple[MeasuredService, MemoryGroup | None]]:
    """The service on the pair, in a group of its own where one can be made."""
    env = {
        "PROFILE": "full",
        "QWEN_MODEL_PATH": str(pair.work / "omni"),
        "MMED_LLAMA_MODEL_PATH": str(pair.work / "medical"),
        "FUSION_WEIGHTS_PATH": str(pair.work / "fusion"),
        "PREPARED_DIR": str(pair.work / "prepared"),
        "CPU_THREADS": str(options.threads),
        "MAX_MEMORY": str(options.limit_bytes),
        "CACHE_ENABLED": "false",
        "REQUEST_TIMEOUT_S": str(_CASE_TIMEOUT_S),
    }
    with memory_group_if_possible(options.limit_bytes, pair.say) as group:
        try:
            with measured_service(None, env, _START_TIMEOUT_S, group) as service:
                yield service, group
        except (RuntimeError, httpx.TransportError) as error:
            raise RuntimeError(f"{error}; out-of-memory kills: {group.oom_kills() if group else 'unknown'}") from error


def _serve(
    service: MeasuredService, group: MemoryGroup | None, maker: CaseMaker, options: RunOptions
) -> dict[str, Any]:
    assert service.pid is not None  # noqa: S101 - narrows the type for mypy
    with MemoryWatch(service.pid, group) as watch:
        for kind in KINDS:  # not counted
            _timed(service, maker.request(kind, options.text_tokens, 0))
        rows = [
            {"kind": kind, **_timed(service, body)}
            for kind, body in maker.mixed(options.cases, options.text_tokens, first=1)
        ]
        lengths = [{"tokens": tokens, "ms": _text_ms(service, maker, tokens)} for tokens in TEXT_LENGTHS]
    samples = [asdict(sample) for sample in watch.samples]
    return {
        "kinds": by_kind(rows),
        "cases": rows,
        "lengths": lengths,
        "peak_anonymous_bytes": watch.peak_anonymous,
        "memory": samples,
    }


def by_kind(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Percentiles of latency, and what was read from disk, for every kind of case."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["kind"]].append(row)
    return {
        kind: {
            "cases": len(group),
            **percentiles([row["ms"] for row in group]),
            "disk_bytes_median": int(median(row["disk_bytes"] for row in group)),
            "disk_bytes_max": max(row["disk_bytes"] for row in group),
        }
        for kind, group in groups.items()
    }


def compare(
    pair: FullPair, program: Path, service: MeasuredService, maker: CaseMaker, options: RunOptions
) -> dict[str, Any]:
    """Rounds of llama.cpp at full depth and at the service's, with and without repacking, and the service's own text
    case; medians in seconds, and how much of llama.cpp's better setting the service takes."""
    depths = {
        "full": {slot: pair.text_shape(slot).layers for slot in pair.layers},
        "cut": dict(pair.layers),
    }
    times: dict[str, list[float]] = defaultdict(list)
    own: list[float] = []
    for number in range(options.rounds):
        for depth, layers in depths.items():
            for repack in (False, True):
                seconds = _llama_pair_s(pair, program, layers, options, repack=repack)
                times[f"{depth}, {'repacked' if repack else 'as loaded'}"].append(seconds)
        own.append(_text_ms(service, maker, options.text_tokens, _FIRST_OF_ROUNDS + 10 * number) / 1000)
    medians = {name: round(median(values), 3) for name, values in times.items()}
    service_s = round(median(own), 3)
    best = {depth: min(value for name, value in medians.items() if name.startswith(depth)) for depth in depths}
    return {
        "tokens": options.text_tokens,
        "threads": options.threads,
        "rounds": options.rounds,
        "layers": depths,
        "service_s": service_s,
        "llama_cpp_s": medians,
        "ratio": {depth: round(service_s / seconds, 3) for depth, seconds in best.items()},
        "all_s": {"service": own, **times},
    }


def _llama_pair_s(
    pair: FullPair, program: Path, layers: Mapping[Slot, int], options: RunOptions, *, repack: bool
) -> float:
    """One prompt through both shapes, seconds."""
    return sum(
        median(
            run_llama_bench(
                program,
                pair.gguf(slot, count),
                tokens=options.text_tokens,
                threads=options.threads,
                repetitions=2,
                repack=repack,
            ).seconds
        )
        for slot, count in layers.items()
    )


def _text_ms(service: MeasuredService, maker: CaseMaker, tokens: int, first: int = _FIRST_OF_LENGTHS) -> float:
    """Median of three texts, after one that is not counted."""
    times = [_timed(service, maker.request("text", tokens, first + tokens + n))["ms"] for n in range(4)]
    return float(median(times[1:]))


def _timed(service: MeasuredService, body: Request) -> dict[str, Any]:
    """One case: milliseconds and bytes read from disk. RuntimeError where it is not answered."""
    assert service.pid is not None  # noqa: S101 - narrows the type for mypy
    before, started = disk_reads(service.pid), time.perf_counter()
    answer = httpx.post(f"{service.url}/api/v1/analyze", json=body, timeout=_CASE_TIMEOUT_S)
    elapsed = time.perf_counter() - started
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError(f"a case was answered with status {answer.status_code}")
    return {"ms": round(1000 * elapsed, 1), "disk_bytes": disk_reads(service.pid) - before}


def _limit(group: MemoryGroup | None) -> dict[str, Any] | None:
    if group is None:
        return None
    return {"peak_bytes": group.peak(), "limit_hits": group.limit_hits(), "oom_kills": group.oom_kills()}
