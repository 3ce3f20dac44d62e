"""Optional API keys."""

from __future__ import annotations

import pytest

from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, UPLOAD, asgi_client
from tests.services.fakes import FakeStorage, components

KEY, OTHER = "key-number-one-long-enough", "key-number-two-long-enough"
KEYS = f"{KEY},{OTHER}"
CASE = {"text": ENGLISH}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer {OTHER}"},
        {"X-API-Key": KEY},
        {"Authorization": "Basic abc", "X-API-Key": KEY},
    ],
)
async def test_a_known_key_is_let_in(headers: dict[str, str]) -> None:
    async with asgi_client(components(), api_keys=KEYS) as client:
        assert (await client.post(ANALYZE, json=CASE, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "api_key_missing"),
        ({"Authorization": "Bearer"}, "api_key_missing"),
        ({"Authorization": f"Basic {KEY}"}, "api_key_missing"),
        ({"X-API-Key": " "}, "api_key_missing"),
        ({"X-API-Key": KEY[:-1]}, "api_key_wrong"),
        ({"X-API-Key": KEY.upper()}, "api_key_wrong"),
        ({"X-API-Key": KEYS}, "api_key_wrong"),
        ({"Authorization": "Bearer ké"}, "api_key_wrong"),
        ({"Authorization": "Bearer wrong", "X-API-Key": KEY}, "api_key_wrong"),
    ],
)
@pytest.mark.parametrize("path", [ANALYZE, UPLOAD, FEEDBACK])
async def test_anyone_else_is_not(headers: dict[str, str], code: str, path: str) -> None:
    parts = components()
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    async with asgi_client(parts, api_keys=KEYS) as client:
        response = await client.post(path, content=b"not even read", headers=raw)
    assert (response.status_code, response.json()["code"]) == (401, code)
    assert response.headers["www-authenticate"] == "Bearer"
    assert KEY not in response.text


async def test_health_metrics_and_docs_need_no_key() -> None:
    async with asgi_client(components(), api_keys=KEYS) as client:
        for path in ("/", "/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200


async def test_idempotency_keys_of_two_callers_are_apart_and_no_key_is_stored() -> None:
    storage = FakeStorage()
    body = {"query": "q", "prediction": "p", "is_correct": True}
    async with asgi_client(components(storage=storage), api_keys=KEYS) as client:
        for key in (KEY, OTHER, KEY):
            headers = {"X-API-Key": key, "Idempotency-Key": "the-same"}
            assert (await client.post(FEEDBACK, json=body, headers=headers)).status_code == 201
    callers = [caller for _, _, caller in storage.verdicts]
    assert len(callers) == len(set(callers)) == 2
    assert all(caller is not None and len(caller) == 16 and caller not in KEYS for caller in callers)


async def test_without_keys_everyone_is_let_in() -> None:
    async with asgi_client(components()) as client:
        assert (await client.post(ANALYZE, json=CASE)).status_code == 200


async def test_cors_only_for_named_origins() -> None:
    origin = "https://clinic.example"
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with asgi_client(components(), cors_origins=origin) as client:
        allowed = await client.options(ANALYZE, headers={"Origin": origin, **preflight})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
        assert "access-control-allow-credentials" not in allowed.headers
        refused = await client.options(ANALYZE, headers={"Origin": "https://evil.example", **preflight})
        assert "access-control-allow-origin" not in refused.headers
        bad = await client.post(ANALYZE, json={}, headers={"Origin": origin})
        assert bad.headers["access-control-allow-origin"] == origin, "a page can read what was wrong"
    async with asgi_client(components()) as client:
        response = await client.post(ANALYZE, json=CASE, headers={"Origin": origin})
        assert "access-control-allow-origin" not in response.headers
