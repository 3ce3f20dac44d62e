"""POST /api/v1/feedback."""

from __future__ import annotations

import pytest

from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, KOREAN, asgi_client
from tests.services.fakes import FakeStorage, components


async def test_feedback_on_an_analysis() -> None:
    storage = FakeStorage()
    async with asgi_client(components(storage=storage)) as client:
        analysis_id = (await client.post(ANALYZE, json={"text": ENGLISH})).json()["analysis_id"]
        body = {"analysis_id": analysis_id, "is_correct": False, "corrected_diagnosis": "폐렴", "comments": "x-ray"}
        response = await client.post(FEEDBACK, json=body)
    assert response.status_code == 201
    assert set(response.json()) == {"feedback_id", "message"}
    kept, condition_id, _ = storage.verdicts[0]
    assert (kept.analysis_id, condition_id, kept.comments) == (analysis_id, "pneumonia", "x-ray")


async def test_feedback_on_a_query_and_its_prediction() -> None:
    storage = FakeStorage()
    async with asgi_client(components(storage=storage)) as client:
        body = {"query": KOREAN, "prediction": "감기", "is_correct": True}
        response = await client.post(FEEDBACK, json=body, headers={"Accept-Language": "ko"})
    assert response.status_code == 201
    assert "보관하지 않았습니다" in response.json()["message"]
    assert storage.verdicts[0][0].query is None


async def test_an_unknown_correction_is_stored_and_said_to_be_unknown() -> None:
    storage = FakeStorage()
    async with asgi_client(components(storage=storage), store_text=True) as client:
        body = {"query": "q", "prediction": "p", "is_correct": False, "corrected_diagnosis": "kuru"}
        response = await client.post(FEEDBACK, json=body)
    assert response.status_code == 201
    assert "matches no known condition" in response.json()["message"]
    assert storage.verdicts[0][0].query == "q"


async def test_a_repeated_request_is_stored_once() -> None:
    storage = FakeStorage()
    body = {"query": "q", "prediction": "p", "is_correct": True}
    async with asgi_client(components(storage=storage)) as client:
        answers = [await client.post(FEEDBACK, json=body, headers={"Idempotency-Key": "key-1"}) for _ in range(3)]
        other = await client.post(FEEDBACK, json={**body, "is_correct": False}, headers={"Idempotency-Key": "key-1"})
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["feedback_id"] for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert len(storage.verdicts) == 1


@pytest.mark.parametrize("key", ["", "a" * 129, "with space", "tab\tkey"])
async def test_a_bad_idempotency_key_is_refused(key: str) -> None:
    async with asgi_client(components()) as client:
        body = {"query": "q", "prediction": "p", "is_correct": True}
        response = await client.post(FEEDBACK, json=body, headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_invalid")


async def test_a_database_that_refuses_is_507_and_nothing_is_claimed() -> None:
    async with asgi_client(components(storage=FakeStorage(failing=True))) as client:
        body = {"query": "q", "prediction": "p", "is_correct": True}
        response = await client.post(FEEDBACK, json=body, headers={"Accept-Language": "ko"})
    assert (response.status_code, response.json()["code"]) == (507, "storage_unavailable")
    assert "저장하지 못했습니다" in response.json()["detail"]
