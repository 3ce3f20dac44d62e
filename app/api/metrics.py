"""Prometheus metrics. Labels come from closed sets: nothing that a caller writes ever becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from app.domain import AnalysisStatus, Language

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Metrics:
    """One registry per application; implements the services' `Observer`. Thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._counter("http_requests", "HTTP requests", "method", "route", "status")
        self._latency = self._histogram("http_request_seconds", "HTTP latency", "route")
        self._problems = self._counter("problems", "Errors answered, by their code", "code")
        self._analyses = self._counter("analyses", "Answered analyses", "status", "modalities", "language")
        self._stages = self._histogram("stage_seconds", "Time per stage of an analysis", "stage")
        self._not_stored = self._counter("analyses_not_stored", "Analyses that the database refused")
        self._feedback = self._counter("feedback", "Stored feedback", "verdict")
        self._replays = self._counter("feedback_replays", "Feedback sent again under the same Idempotency-Key")
        self._swaps = self._counter("version_swaps", "Versions swapped in while serving, or refused", "outcome")
        self._swap_seconds = self._histogram("version_swap_seconds", "From noticing a new version to serving it")
        self._build = Info("medmodal_build", "What is running", registry=self.registry)

    def watch(self, queue_depth: Callable[[], int], ready: Callable[[], bool], refused: Callable[[], bool]) -> None:
        """Gauges that are read when they are scraped."""
        depth = Gauge("medmodal_queue_depth", "Cases waiting or being served", registry=self.registry)
        depth.set_function(queue_depth)
        gauge = Gauge("medmodal_ready", "1 once the models are warm", registry=self.registry)
        gauge.set_function(lambda: float(ready()))
        text = "1 while the version that is to serve cannot be loaded and another one answers"
        pending = Gauge("medmodal_version_refused", text, registry=self.registry)
        pending.set_function(lambda: float(refused()))

    def describe(self, versions: Mapping[str, str]) -> None:
        self._build.info(dict(versions))

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def problem(self, code: str) -> None:
        self._problems.labels(code).inc()

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def analysed(self, status: AnalysisStatus, modalities: tuple[str, ...], language: Language) -> None:
        self._analyses.labels(status, "+".join(modalities), language).inc()

    def not_stored(self) -> None:
        self._not_stored.inc()

    def feedback_stored(self, *, is_correct: bool, replayed: bool) -> None:
        if replayed:
            self._replays.inc()
        else:
            self._feedback.labels("correct" if is_correct else "wrong").inc()

    def version_swapped(self, seconds: float) -> None:
        self._swaps.labels("swapped").inc()
        self._swap_seconds.observe(seconds)

    def version_refused(self) -> None:
        self._swaps.labels("refused").inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"medmodal_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"medmodal_{name}", text, labels, registry=self.registry, buckets=_SECONDS)
