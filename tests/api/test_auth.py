"""Optional API keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, RUNS, UPLOAD, VERSIONS, asgi_client
from tests.services.fakes import FakeStorage, components
from tests.services.learning_fakes import FakeLearning

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


# --------------------------------------------------------------------------- admin keys
ADMIN = "admin-key-number-one-long-enough"
ADMIN_REQUESTS = [
    ("POST", RUNS),
    ("POST", f"{RUNS}/run_1/cancel"),
    ("GET", f"{RUNS}/run_1/change-record"),
    ("POST", f"{VERSIONS}/f2/activate"),
]
OPEN_NETWORK = {"host": "0.0.0.0", "allow_unauthenticated_network": True}  # noqa: S104 - a setting; nothing listens


@pytest.mark.parametrize(
    ("options", "headers", "refusal"),
    [
        ({"api_keys": KEYS, "admin_keys": ADMIN}, {}, (401, "api_key_missing")),
        ({"api_keys": KEYS, "admin_keys": ADMIN}, {"X-API-Key": ADMIN[:-1]}, (401, "api_key_wrong")),
        ({"api_keys": KEYS, "admin_keys": ADMIN}, {"X-API-Key": KEY}, (403, "admin_key_required")),
        ({"api_keys": KEYS, "admin_keys": ADMIN}, {"X-API-Key": ADMIN}, None),
        ({"admin_keys": f"{KEY},{ADMIN}"}, {"Authorization": f"Bearer {ADMIN}"}, None),
        ({"admin_keys": ADMIN}, {}, (401, "api_key_missing")),
        ({"admin_keys": ADMIN}, {"X-API-Key": KEY}, (401, "api_key_wrong")),
        ({"api_keys": KEYS}, {}, (401, "api_key_missing")),
        ({"api_keys": KEYS}, {"X-API-Key": KEY}, (403, "admin_keys_not_set")),
        ({}, {}, None),
        (OPEN_NETWORK, {}, (403, "admin_keys_not_set")),
        ({**OPEN_NETWORK, "admin_keys": ADMIN}, {"X-API-Key": ADMIN}, None),
        ({**OPEN_NETWORK, "admin_keys": ADMIN}, {}, (401, "api_key_missing")),
    ],
)
async def test_who_is_an_admin(
    options: dict[str, Any], headers: dict[str, str], refusal: tuple[int, str] | None
) -> None:
    learning = FakeLearning()
    async with asgi_client(components(learning=learning), **options) as client:
        for method, path in ADMIN_REQUESTS:
            response = await client.request(method, path, headers=headers)
            if refusal is not None:
                assert (response.status_code, response.json()["code"]) == refusal
                assert ("www-authenticate" in response.headers) == (refusal[0] == 401)
            else:
                assert response.status_code in {200, 404, 409}, response.text
    changed = learning.versions.pointer.version == "f2"
    assert changed == (refusal is None)
    assert bool(learning.runs.asked_for) == (refusal is None), "nothing is looked up for who may not see it"


async def test_a_refusal_to_an_api_key_is_worded_in_both_languages() -> None:
    details = set()
    for admin_keys in ("", ADMIN):
        async with asgi_client(components(), api_keys=KEYS, admin_keys=admin_keys) as client:
            for language in ("ko", "en"):
                response = await client.post(RUNS, headers={"X-API-Key": KEY, "Accept-Language": language})
                assert response.headers["content-language"] == language
                assert ADMIN not in response.text
                details.add(response.json()["detail"])
    assert len(details) == 4


async def test_an_admin_key_works_as_an_api_key_and_is_a_caller_of_its_own() -> None:
    storage = FakeStorage()
    body = {"query": "q", "prediction": "p", "is_correct": True}
    async with asgi_client(components(storage=storage), api_keys=KEYS, admin_keys=ADMIN) as client:
        for key in (KEY, ADMIN):
            assert (await client.post(ANALYZE, json=CASE, headers={"X-API-Key": key})).status_code == 200
            assert (await client.post(FEEDBACK, json=body, headers={"X-API-Key": key})).status_code == 201
    async with asgi_client(components(storage=storage), admin_keys=ADMIN) as client:
        assert (await client.post(FEEDBACK, json=body)).status_code == 201, "cases and feedback still need no key"
        assert (await client.post(FEEDBACK, json=body, headers={"X-API-Key": ADMIN})).status_code == 201
    plain, admin, nobody, again = [caller for _, _, caller in storage.verdicts]
    assert len({plain, admin, nobody}) == 3
    assert (nobody, again) == (None, admin)


async def test_pages_of_strangers_are_kept_out_where_admin_keys_alone_are_set() -> None:
    async with asgi_client(components(), admin_keys=ADMIN) as client:
        response = await client.post(RUNS, headers={"X-API-Key": ADMIN, "Origin": "http://evil.example"})
    assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed")


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
