"""One case from request to answer: place, media, inference, names, storage."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog

from app.domain import Analysis, Case, CaseRequest, Evidence, Language
from app.errors import AppError, DeadlineError
from app.services.host import ComponentHost, Components
from app.services.inference import InferenceQueue, Place
from app.services.language import detect_language
from app.services.naming import Identity, name_analysis
from app.services.pipeline import StageClock, infer
from app.services.pools import WorkerPool
from app.services.ports import Observer
from app.services.privacy import without_pictures, without_quotes

NOT_STORED = "not_stored"


@dataclass(frozen=True, slots=True)
class AnalysisPolicy:
    """`deadline_s` counts from the moment the whole request was read.

    A database that takes longer than `store_timeout_s` costs a warning, not the answer.
    """

    deadline_s: float
    store_text: bool
    profile: str
    store_timeout_s: float = 5.0


class AnalysisService:
    """Answers cases. Event loop only; everything that blocks runs on the queue's and the storage threads."""

    def __init__(
        self,
        host: ComponentHost,
        queue: InferenceQueue,
        storage: WorkerPool,
        observer: Observer,
        policy: AnalysisPolicy,
    ) -> None:
        self._host = host
        self._queue = queue
        self._storage = storage
        self._observer = observer
        self._policy = policy

    def admit(self) -> None:
        """Raise now what `analyze` would raise for any case: NotReadyError, OverloadedError."""
        self._host.get()
        self._queue.refuse_if_full()

    async def analyze(self, request: CaseRequest) -> Analysis:
        """The answer, stored before it is returned; with the warning `not_stored` where the database refused it.

        InvalidInputError, PayloadTooLargeError and UnsupportedMediaError for media, OverloadedError, NotReadyError,
        DeadlineError.
        """
        components = self._host.get()
        clock = StageClock(self._observer)
        try:
            async with asyncio.timeout(self._policy.deadline_s) as deadline, self._queue.place() as place:
                analysis, evidence = await self._answer(request, components, place, clock)
                analysis = await self._store(analysis, evidence, request.text, components, clock)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise DeadlineError("deadline_exceeded", seconds=self._policy.deadline_s) from None
        clock.total()
        self._observer.analysed(analysis.status, analysis.modalities, analysis.language)
        return replace(analysis, timings_ms=dict(clock.timings_ms))

    async def _answer(
        self, request: CaseRequest, components: Components, place: Place, clock: StageClock
    ) -> tuple[Analysis, Evidence]:
        language = _language(request)
        if request.images or request.audio is not None or request.video is not None:
            with clock.stage("decode"):
                case = await place.decode(partial(components.media.decode, request, language))
        else:
            case = Case(language=language, text=request.text, patient=request.patient)
        within_s = self._policy.deadline_s if request.explain else None
        submitted = time.perf_counter()
        work = partial(infer, case, components, clock, place.cancellation, submitted, explain_within_s=within_s)
        inference = await place.infer(work)
        identity = Identity(f"an_{uuid.uuid4().hex}", self._policy.profile, datetime.now(UTC))
        with clock.stage("naming"):
            analysis = name_analysis(case, request.patient, inference, components, identity)
        return replace(analysis, timings_ms=dict(clock.timings_ms)), inference.evidence

    async def _store(
        self, analysis: Analysis, evidence: Evidence, text: str | None, components: Components, clock: StageClock
    ) -> Analysis:
        kept, kept_evidence = (analysis, evidence) if self._policy.store_text else without_quotes(analysis, evidence)
        kept = without_pictures(kept)
        kept_text = text if self._policy.store_text else None
        try:
            with clock.stage("store"):
                work = partial(components.analyses.add, kept, kept_evidence, text=kept_text)
                await asyncio.wait_for(self._storage.run(work), self._policy.store_timeout_s)
        except (AppError, TimeoutError) as error:
            code = error.code if isinstance(error, AppError) else "storage_timeout"
            structlog.get_logger("app.analysis").warning("analysis_not_stored", code=code)
            self._observer.not_stored()
            return replace(analysis, warnings=(*analysis.warnings, NOT_STORED))
        return analysis


def _language(request: CaseRequest) -> Language:
    if request.language is not None:
        return request.language
    return (detect_language(request.text) if request.text else None) or "en"
