"""Pages of strangers in a browser on this machine: DNS rebinding, and forms that are posted across sites."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, UPLOAD, asgi_client, live_server
from tests.api.sockets import connect, head, read_reply
from tests.services.fakes import components

KEY = "key-number-one-long-enough"
FORM: dict[str, Any] = {"files": {"text": (None, ENGLISH)}}
EVIL = {"Host": "evil.example", "Origin": "http://evil.example"}
NETWORK = {"host": "0.0.0.0", "allow_unauthenticated_network": True}  # noqa: S104 - a setting; nothing listens


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "127.0.0.9:8000", "[::1]", "[::1]:8000"],
)
async def test_this_machine_may_be_named_in_any_way(host: str) -> None:
    async with asgi_client(components()) as client:
        assert (await client.post(UPLOAD, **FORM, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "localhost:x",
        "localhost:",
        "localhost:99999",
        "192.168.0.7:8000",
        "0.0.0.0",  # noqa: S104 - a header; nothing listens
        "[::]",
        "[::1",
        "::1",
        "2130706433",
        "",
    ],
)
async def test_any_other_name_is_misdirected(host: str) -> None:
    async with asgi_client(components()) as client:
        for method, path in [("POST", UPLOAD), ("GET", "/metrics"), ("OPTIONS", ANALYZE), ("HEAD", "/"), ("GET", "/x")]:
            response = await client.request(method, path, headers={"Host": host})
            assert response.status_code == 421
        assert (await client.get("/", headers={"Host": host})).json()["code"] == "host_not_allowed"


async def test_the_reported_attack_is_refused_on_every_route_in_both_languages() -> None:
    titles = set()
    async with asgi_client(components()) as client:
        for path in (ANALYZE, UPLOAD, FEEDBACK):
            for language in ("ko", "en"):
                headers = {"Accept-Language": language}
                rebound = await client.post(path, **FORM, headers={**headers, **EVIL})
                crossed = await client.post(path, **FORM, headers={**headers, "Origin": EVIL["Origin"]})
                assert (rebound.status_code, rebound.json()["code"]) == (421, "host_not_allowed")
                assert (crossed.status_code, crossed.json()["code"]) == (403, "origin_not_allowed")
                assert rebound.headers["content-type"] == crossed.headers["content-type"] == "application/problem+json"
                assert rebound.headers["content-language"] == crossed.headers["content-language"] == language
                assert "evil" not in rebound.text + crossed.text
                titles |= {rebound.json()["title"], crossed.json()["title"]}
    assert len(titles) == 4


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://[::1]:8000", 200),
        ("https://clinic.example", 200),
        ("https://clinic.example.evil.example", 403),
        ("http://clinic.example", 403),
        ("https://clinic.example:444", 403),
        ("http://localhost.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("file://localhost", 403),
        ("localhost", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_only_pages_of_this_machine_and_named_ones_may_post(origin: str, status: int) -> None:
    async with asgi_client(components(), cors_origins="https://clinic.example") as client:
        assert (await client.post(UPLOAD, **FORM, headers={"Origin": origin})).status_code == status
        assert (await client.get("/health", headers={"Origin": origin})).status_code == 200


async def test_an_open_network_takes_any_name_but_not_any_page() -> None:
    own = {"Host": "medmodal.lan:8000", "Origin": "http://medmodal.lan:8000"}
    async with asgi_client(components(), **NETWORK) as client:
        assert (await client.post(UPLOAD, **FORM, headers={"Host": own["Host"]})).status_code == 200
        assert (await client.post(UPLOAD, **FORM, headers=own)).status_code == 200
        crossed = await client.post(UPLOAD, **FORM, headers={**own, "Origin": "http://evil.example"})
        assert (crossed.status_code, crossed.json()["code"]) == (403, "origin_not_allowed")


async def test_with_keys_the_key_is_what_counts() -> None:
    async with asgi_client(components(), api_keys=KEY) as client:
        assert (await client.post(UPLOAD, **FORM, headers={**EVIL, "X-API-Key": KEY})).status_code == 200
        assert (await client.post(UPLOAD, **FORM, headers=EVIL)).json()["code"] == "api_key_missing"


def test_over_a_socket_the_answer_comes_before_the_body() -> None:
    with live_server(components()) as address, connect(address) as connection:
        request = head(UPLOAD, "Content-Type: multipart/form-data; boundary=x", "Content-Length: 1000000")
        connection.sendall(request.replace(b"Host: localhost", b"Host: evil.example"))
        reply = read_reply(connection)
    assert (reply.status, reply.json()["code"]) == (421, "host_not_allowed")
    assert reply.headers["x-request-id"] == reply.json()["request_id"]
