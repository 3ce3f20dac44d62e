"""From a decoded case to evidence and a prediction: what runs on the inference thread, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from app.domain import Case, Evidence, Finding, Patient, Prediction, Saliency, Vitals
from app.encoders.session import Cancellation
from app.services.host import Components
from app.services.ports import Observer
from app.services.saliency import saliency_maps, time_budget

T = TypeVar("T")
SALIENCY_SKIPPED = "saliency_skipped"


class StageClock:
    """Milliseconds per stage of one case, in the order in which the stages ended."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._started = time.perf_counter()
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.note(name, time.perf_counter() - started)

    def note(self, name: str, seconds: float) -> None:
        self.timings_ms[name] = round(seconds * 1000, 2)
        self._observer.stage(name, seconds)

    def elapsed_s(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._started

    def total(self) -> None:
        """Close the clock: everything since it was made."""
        self.note("total", self.elapsed_s())


@dataclass(frozen=True, slots=True)
class Inference:
    """What the models and the knowledge base made of a case."""

    evidence: Evidence
    prediction: Prediction
    warnings: tuple[str, ...]
    predictor_version: str
    saliency: tuple[Saliency, ...] = ()


def infer(
    case: Case,
    components: Components,
    clock: StageClock,
    cancellation: Cancellation,
    submitted: float,
    *,
    explain_within_s: float | None = None,
) -> Inference:
    """Findings, both encoders, fusion. `submitted`: `time.perf_counter()` when the case began to wait.

    `explain_within_s`: also saliency maps of the images, where this deadline, counted from the clock's start, leaves
    time for them. DeadlineError once cancelled: looked at between the steps, and by the encoders at each node.
    """
    clock.note("queue", time.perf_counter() - submitted)
    cancellation.check()
    predictor = components.fusion  # one version for the whole case, also while another is being promoted
    with clock.stage("findings"):
        findings, patient = _read_text(case, components)
        red_flags = components.knowledge.red_flags(findings, patient, case.language)
        scores = components.knowledge.scores(findings, patient, case.language)
    with clock.stage("omni"):
        embeddings = components.omni.encode(case, cancellation)
    cancellation.check()
    with clock.stage("medical"):
        embeddings += components.medical.encode(case, cancellation)
    cancellation.check()
    evidence = Evidence(embeddings=embeddings, findings=findings, red_flags=red_flags, patient=patient, scores=scores)
    with clock.stage("fusion"):
        prediction = predictor.predict(evidence)
    warnings = _case_warnings(case, components)
    maps: tuple[Saliency, ...] = ()
    if explain_within_s is not None and case.images:
        cancellation.check()
        with clock.stage("explain"):
            maps = saliency_maps(
                case,
                evidence,
                prediction.differential[0].condition_id,
                components.omni,
                predictor,
                budget_s=time_budget(explain_within_s, clock.elapsed_s()),
                cancellation=cancellation,
            )
        warnings += (SALIENCY_SKIPPED,) if len(maps) < len(case.images) else ()
    return Inference(evidence, prediction, warnings, predictor.version, maps)


def _read_text(case: Case, components: Components) -> tuple[tuple[Finding, ...], Patient]:
    if case.text is None:
        return (), case.patient
    findings = components.knowledge.extract_findings(case.text)
    return findings, merge_patients(case.patient, components.knowledge.extract_patient(case.text))


def merge_patients(given: Patient, read: Patient) -> Patient:
    """What the caller states wins; what the text says fills the gaps."""
    return Patient(
        age=_first(given.age, read.age),
        sex=_first(given.sex, read.sex),
        vitals=_merge_vitals(given.vitals, read.vitals),
        consciousness=_first(given.consciousness, read.consciousness),
        pain=_first(given.pain, read.pain),
    )


def _merge_vitals(given: Vitals, read: Vitals) -> Vitals:
    return Vitals(
        sbp=_first(given.sbp, read.sbp),
        dbp=_first(given.dbp, read.dbp),
        heart_rate=_first(given.heart_rate, read.heart_rate),
        respiratory_rate=_first(given.respiratory_rate, read.respiratory_rate),
        temperature=_first(given.temperature, read.temperature),
        spo2=_first(given.spo2, read.spo2),
    )


def _first(given: T | None, read: T | None) -> T | None:
    return read if given is None else given


def _case_warnings(case: Case, components: Components) -> tuple[str, ...]:
    if case.text is not None and (components.omni.truncates(case.text) or components.medical.truncates(case.text)):
        return ("text_truncated",)
    return ()
