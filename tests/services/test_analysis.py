import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.domain import AnalysisStatus, Case, CaseRequest, Image, Language, Patient, Vitals
from app.encoders.session import Cancellation
from app.errors import DeadlineError, InvalidInputError, NotReadyError, OverloadedError
from app.services.analysis import AnalysisPolicy, AnalysisService
from app.services.host import ComponentHost, Components
from app.services.inference import InferenceQueue
from app.services.pools import WorkerPool
from tests.services.fakes import MAX_FAKE_CHARS, FakePredictor, FakeStorage, Gate, components
from tests.services.waiting import until

TEXT = "chest pain and cough"


class Counts:
    """Implements `Observer`."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.analyses: list[tuple[str, tuple[str, ...], str]] = []
        self.unstored = 0

    def stage(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages.append(name)

    def analysed(self, status: AnalysisStatus, modalities: tuple[str, ...], language: Language) -> None:
        self.analyses.append((status, modalities, language))

    def not_stored(self) -> None:
        self.unstored += 1

    def feedback_stored(self, *, is_correct: bool, replayed: bool) -> None:
        raise AssertionError("no feedback here")


class Running:
    def __init__(
        self, service: AnalysisService, queue: InferenceQueue, counts: Counts, stopping: threading.Event
    ) -> None:
        self.service, self.queue, self.counts, self.stopping = service, queue, counts, stopping

    async def idle(self) -> None:
        await until(lambda: self.queue.depth == 0)


@asynccontextmanager
async def running(
    parts: Components,
    *,
    deadline_s: float = 5.0,
    store_text: bool = False,
    waiting: int = 2,
    store_timeout_s: float = 5.0,
) -> AsyncIterator[Running]:
    stopping = threading.Event()
    host = ComponentHost(lambda _progress: parts, stopping)
    host.start()
    await until(lambda: host.status().state != "loading")
    queue = InferenceQueue(waiting=waiting, media_threads=1)
    storage = WorkerPool("storage", threads=1, backlog=4)
    counts = Counts()
    policy = AnalysisPolicy(deadline_s, store_text, "test", store_timeout_s)
    service = AnalysisService(host, queue, storage, counts, policy)
    try:
        yield Running(service, queue, counts, stopping)
    finally:
        queue.close()
        storage.close()
        host.close()


async def test_a_case_is_named_stored_and_answered() -> None:
    storage, predictor = FakeStorage(), FakePredictor()
    async with running(components(storage=storage, predictor=predictor)) as run:
        request = CaseRequest(text=TEXT, patient=Patient(age=50, vitals=Vitals(sbp=120)), language="ko")
        answer = await run.service.analyze(request)
    assert answer.diagnosis == "급성 심근경색"
    assert [item.icd10 for item in answer.differential] == ["I21.9", "J18.9", "J00"]
    assert answer.categories == ("심장내과", "호흡기내과", "일반의")
    assert answer.recommendations == ("acute_myocardial_infarction/critical/ko",)
    assert [(item.name, item.quote) for item in answer.findings] == [("가슴 통증", "chest pain"), ("기침", "cough")]
    assert answer.red_flags == ("흉통",)
    assert answer.modalities == ("text", "vitals")
    assert answer.models == {"service": "0", "omni": "o1", "medical": "m1", "knowledge": "k1", "fusion": "f1"}
    assert answer.analysis_id in storage.rows
    assert run.counts.analyses == [("ok", ("text", "vitals"), "ko")]
    stages = ["queue", "findings", "omni", "medical", "fusion", "naming", "store", "total"]
    assert list(answer.timings_ms) == stages == run.counts.stages


async def test_a_score_is_evidence_and_is_in_the_answer() -> None:
    predictor = FakePredictor()
    async with running(components(predictor=predictor)) as run:
        calm = await run.service.analyze(CaseRequest(text=TEXT, patient=Patient(vitals=Vitals(sbp=120))))
        low = await run.service.analyze(CaseRequest(text=TEXT, patient=Patient(vitals=Vitals(sbp=80)), language="ko"))
    assert calm.scores == ()
    assert [(score.name, score.value, score.detail) for score in low.scores] == [("NEWS2", 7, "높음")]
    assert predictor.seen[1].scores == low.scores


async def test_what_the_text_says_fills_what_the_caller_left_out() -> None:
    predictor = FakePredictor()
    async with running(components(predictor=predictor)) as run:
        await run.service.analyze(CaseRequest(text="61 years old, cough"))
        await run.service.analyze(CaseRequest(text="61 years old, cough", patient=Patient(age=30, pain=2)))
    assert [(seen.patient.age, seen.patient.pain) for seen in predictor.seen] == [(61.0, None), (30, 2)]


@pytest.mark.parametrize(
    ("text", "asked", "language"),
    [("가슴이 아파요", None, "ko"), (TEXT, None, "en"), (TEXT, "ko", "ko"), ("38.5", None, "en")],
)
async def test_language(text: str, asked: Language | None, language: str) -> None:
    async with running(components()) as run:
        answer = await run.service.analyze(CaseRequest(text=text, language=asked))
    assert answer.language == language


async def test_too_little_evidence_is_said_and_no_diagnosis_is_named() -> None:
    async with running(components(predictor=FakePredictor(status="insufficient_evidence"))) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT))
    assert answer.status == "insufficient_evidence"
    assert answer.diagnosis == "Not enough evidence for a diagnosis"
    assert "emergency" in answer.recommendations[0]
    assert answer.warnings == ("low_certainty",)


async def test_a_cut_text_is_warned_of() -> None:
    async with running(components()) as run:
        answer = await run.service.analyze(CaseRequest(text="cough " * MAX_FAKE_CHARS))
    assert answer.warnings == ("text_truncated",)


# --------------------------------------------------------------------------- storage
@pytest.mark.parametrize("store_text", [False, True])
async def test_texts_are_kept_only_where_the_operator_says_so(store_text: bool) -> None:
    storage = FakeStorage()
    async with running(components(storage=storage), store_text=store_text) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT))
    kept, evidence, text = storage.rows[answer.analysis_id]
    assert answer.findings[0].quote == "chest pain", "the caller gets the quotes in any case"
    assert text == (TEXT if store_text else None)
    assert [item.quote for item in kept.findings] == (["chest pain", "cough"] if store_text else ["", ""])
    assert [item.quote for item in evidence.findings] == (["chest pain", "cough"] if store_text else ["", ""])
    assert (TEXT in repr((kept, evidence, text))) is store_text


async def test_a_failing_database_costs_a_warning_and_not_the_answer() -> None:
    async with running(components(storage=FakeStorage(failing=True))) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT))
    assert answer.diagnosis == "Acute myocardial infarction"
    assert answer.warnings == ("not_stored",)
    assert run.counts.unstored == 1


async def test_a_hanging_database_costs_a_warning_and_not_the_answer() -> None:
    release = threading.Event()
    storage = FakeStorage(before=lambda: release.wait(5) and None)
    async with running(components(storage=storage), store_timeout_s=0.05) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT))
        release.set()
    assert answer.warnings == ("not_stored",)


# --------------------------------------------------------------------------- deadline, places
async def test_deadline_of_a_running_case_stops_it_and_frees_the_place() -> None:
    gate = Gate()
    async with running(components(before=gate), deadline_s=0.1) as run:
        with pytest.raises(DeadlineError) as caught:
            await run.service.analyze(CaseRequest(text=TEXT))
        await run.idle()
        gate.open.set()
        assert (await run.service.analyze(CaseRequest(text=TEXT))).status == "ok"
    assert (caught.value.code, caught.value.params) == ("deadline_exceeded", {"seconds": 0.1})


async def test_deadline_of_a_waiting_case_frees_its_place_while_the_other_runs() -> None:
    gate = Gate()
    async with running(components(before=gate), deadline_s=0.3) as run:
        first = asyncio.create_task(run.service.analyze(CaseRequest(text="first")))
        await asyncio.to_thread(gate.entered.wait, 5)
        await asyncio.sleep(0.15)
        second = asyncio.create_task(run.service.analyze(CaseRequest(text="second")))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DeadlineError, DeadlineError]
        await run.idle()


async def test_full_queue_refuses() -> None:
    gate = Gate()
    async with running(components(before=gate), waiting=1) as run:
        tasks = [asyncio.create_task(run.service.analyze(CaseRequest(text=TEXT))) for _ in range(2)]
        await asyncio.to_thread(gate.entered.wait, 5)
        with pytest.raises(OverloadedError, match="queue_full"):
            run.service.admit()
        with pytest.raises(OverloadedError, match="queue_full"):
            await run.service.analyze(CaseRequest(text=TEXT))
        gate.open.set()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == ["ok", "ok"]
        await run.idle()
        run.service.admit()


async def test_stopping_refuses_new_cases_and_finishes_the_ones_in_work() -> None:
    gate = Gate()
    async with running(components(before=gate)) as run:
        task = asyncio.create_task(run.service.analyze(CaseRequest(text=TEXT)))
        await asyncio.to_thread(gate.entered.wait, 5)
        run.stopping.set()
        with pytest.raises(NotReadyError, match="shutting_down"):
            await run.service.analyze(CaseRequest(text=TEXT))
        gate.open.set()
        assert (await task).status == "ok"


async def test_the_event_loop_never_waits_for_the_models() -> None:
    def slow(_case: Case, _cancellation: Cancellation) -> None:
        time.sleep(0.4)

    longest = 0.0
    async with running(components(before=slow)) as run:
        task = asyncio.create_task(run.service.analyze(CaseRequest(text=TEXT)))
        while not task.done():
            started = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - started)
        await task
    assert longest < 0.1


# --------------------------------------------------------------------------- media
class Decoder:
    """Implements `MediaDecoder`; counts how many decode at once."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.threads: set[str] = set()

    def decode(self, request: CaseRequest, language: Language) -> Case:
        self.threads.add(threading.current_thread().name)
        self._work()
        return Case(language=language, images=tuple(Image(_pixels()) for _ in request.images))


def _pixels():
    import numpy as np

    return np.zeros((8, 8, 3), np.uint8)


async def test_media_are_decoded_on_their_own_threads_and_only_with_a_place() -> None:
    decoded: list[int] = []
    release = threading.Event()

    def work() -> None:
        decoded.append(1)
        release.wait(5)

    decoder = Decoder(work)
    async with running(components(media=decoder), waiting=1) as run:
        request = CaseRequest(images=(b"x",))
        tasks = [asyncio.create_task(run.service.analyze(request)) for _ in range(50)]
        outcomes = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert len(decoded) == 1, "one media thread"
        release.set()
        results = await outcomes
    refused = [item for item in results if isinstance(item, OverloadedError)]
    assert len(refused) == 48
    assert len(decoded) == 2
    assert all(name.startswith("media") for name in decoder.threads)
    answered = [item for item in results if not isinstance(item, BaseException)]
    assert [item.modalities for item in answered] == [("image",), ("image",)]
    assert answered[0].timings_ms["decode"] > 0


async def test_media_that_cannot_be_decoded_are_the_callers_error() -> None:
    def refuse() -> None:
        raise InvalidInputError("image_damaged", field="image")

    async with running(components(media=Decoder(refuse))) as run:
        with pytest.raises(InvalidInputError, match="image_damaged"):
            await run.service.analyze(CaseRequest(images=(b"x",)))
        await run.idle()
