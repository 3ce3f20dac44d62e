import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.api.metrics import Metrics
from app.domain import Feedback
from app.errors import ConflictError, NotFoundError, StorageError
from app.services.feedback import FeedbackService
from app.services.host import ComponentHost
from app.services.pools import WorkerPool
from tests.services.fakes import FakeStorage, components
from tests.services.waiting import until

BY_QUERY = Feedback(is_correct=False, query="my secret words", prediction="Pneumonia", corrected_diagnosis="폐렴")


@asynccontextmanager
async def service(storage: FakeStorage, *, store_text: bool = False) -> AsyncIterator[FeedbackService]:
    parts = components(storage=storage)
    host = ComponentHost(lambda _progress: parts, threading.Event())
    host.start()
    await until(lambda: host.status().state != "loading")
    pool = WorkerPool("storage", threads=1, backlog=4)
    yield FeedbackService(host, pool, Metrics(), store_text=store_text)
    pool.close()
    host.close()


@pytest.mark.parametrize("wording", ["pneumonia", "J18.9", "Pneumonia", "폐렴"])
async def test_a_correction_is_matched_by_id_code_and_name(wording: str) -> None:
    storage = FakeStorage()
    async with service(storage) as feedback:
        verdict = Feedback(is_correct=False, query="q", prediction="p", corrected_diagnosis=wording)
        receipt = await feedback.add(verdict, idempotency_key=None, caller=None)
    assert storage.verdicts[0][1] == "pneumonia"
    assert not receipt.correction_unknown


async def test_an_unknown_correction_is_kept_and_flagged() -> None:
    storage = FakeStorage()
    async with service(storage) as feedback:
        verdict = Feedback(is_correct=False, query="q", prediction="p", corrected_diagnosis="kuru")
        receipt = await feedback.add(verdict, idempotency_key=None, caller="me")
    kept, condition_id, caller = storage.verdicts[0]
    assert (kept.corrected_diagnosis, condition_id, caller) == ("kuru", None, "me")
    assert receipt.correction_unknown


@pytest.mark.parametrize("store_text", [False, True])
async def test_the_query_is_a_patients_text(store_text: bool) -> None:
    storage = FakeStorage()
    async with service(storage, store_text=store_text) as feedback:
        receipt = await feedback.add(BY_QUERY, idempotency_key=None, caller=None)
    assert storage.verdicts[0][0].query == ("my secret words" if store_text else None)
    assert receipt.text_dropped is not store_text


async def test_the_same_request_is_stored_once_and_another_under_its_key_is_refused() -> None:
    storage = FakeStorage()
    async with service(storage) as feedback:
        first = await feedback.add(BY_QUERY, idempotency_key="k", caller=None)
        again = await feedback.add(BY_QUERY, idempotency_key="k", caller=None)
        assert again.stored.replayed
        assert again.stored.feedback_id == first.stored.feedback_id
        other = Feedback(is_correct=True, query="my other words", prediction="Pneumonia")
        with pytest.raises(ConflictError):
            await feedback.add(other, idempotency_key="k", caller=None)
        await feedback.add(other, idempotency_key="k", caller="another caller")
    assert len(storage.verdicts) == 2


async def test_what_the_store_refuses_reaches_the_caller() -> None:
    async with service(FakeStorage()) as feedback:
        with pytest.raises(NotFoundError, match="analysis_not_found"):
            await feedback.add(Feedback(is_correct=True, analysis_id="an_x"), idempotency_key=None, caller=None)
    async with service(FakeStorage(failing=True)) as feedback:
        with pytest.raises(StorageError):
            await feedback.add(BY_QUERY, idempotency_key=None, caller=None)
