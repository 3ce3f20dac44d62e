"""Behind a real socket: chunked and endless bodies, stallers, broken HTTP, too many connections."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from app.server import WireLimits
from tests.api.harness import ANALYZE, ENGLISH, builder, live_server, loaded, serving, settings
from tests.api.media_files import b64
from tests.api.sockets import connect, head, is_closed, read_reply
from tests.services.fakes import FakeEncoder, Gate, components
from tests.services.waiting import wait_until

JSON = "Content-Type: application/json"
BODY = json.dumps({"text": ENGLISH}).encode()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with live_server(components(), max_body_bytes=100_000, body_timeout_s=0.5, max_connections=20) as url:
        yield url


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_a_chunked_body_is_read(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, "Transfer-Encoding: chunked"))
        for byte in BODY:
            wire.sendall(chunk(bytes([byte])))
        wire.sendall(b"0\r\n\r\n")
        assert read_reply(wire).status == 200


def test_an_endless_chunked_body_is_cut_at_the_limit(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, "Transfer-Encoding: chunked"))
        sent = 0
        while sent < 120_000:
            wire.sendall(chunk(b"a" * 10_000))
            sent += 10_000
        reply = read_reply(wire)
    assert (reply.status, reply.json()["code"]) == (413, "body_too_large")


def test_a_declared_giant_is_refused_before_it_is_sent(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, "Content-Length: 99999999999999"))
        reply = read_reply(wire)
    assert (reply.status, reply.json()["code"]) == (413, "body_too_large")


def test_expect_continue(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
        assert read_reply(wire).status == 100
        wire.sendall(BODY)
        assert read_reply(wire).status == 200


def test_a_refused_body_leaves_the_connection_usable(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, "Content-Length: 150000") + b"a" * 150_000)
        assert read_reply(wire).status == 413
        wire.sendall(head(ANALYZE, JSON, f"Content-Length: {len(BODY)}") + BODY)
        assert read_reply(wire).status == 200


@pytest.mark.parametrize("sent", [0, 5])
def test_a_body_that_does_not_arrive_is_408(address: str, sent: int) -> None:
    started = time.monotonic()
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, f"Content-Length: {len(BODY)}", "Accept-Language: ko") + BODY[:sent])
        reply = read_reply(wire)
    assert (reply.status, reply.json()["code"]) == (408, "body_timeout")
    assert "초" in reply.json()["detail"]
    assert 0.4 < time.monotonic() - started < 3


def test_a_trickling_body_is_408_as_a_whole(address: str) -> None:
    with connect(address) as wire:
        wire.sendall(head(ANALYZE, JSON, "Content-Length: 1000"))
        started = time.monotonic()
        wire.settimeout(0.05)
        reply = None
        while reply is None and time.monotonic() - started < 5:
            wire.sendall(b" ")
            try:
                reply = read_reply(wire)
            except TimeoutError:
                continue
    assert reply is not None
    assert reply.status == 408


@pytest.mark.parametrize(
    "request_head",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"a" * 70_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
def test_broken_http_gets_a_problem_and_the_door(address: str, request_head: bytes) -> None:
    with connect(address, timeout_s=3) as wire:
        wire.sendall(request_head)
        reply = read_reply(wire)
        assert reply.status in {400, 501}, reply
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["code"] == "http_malformed"
        assert is_closed(wire)
    assert httpx.get(f"{address}/health/live").status_code == 200


def test_a_broken_chunk_is_refused(address: str) -> None:
    with connect(address, timeout_s=3) as wire:
        wire.sendall(head(ANALYZE, JSON, "Transfer-Encoding: chunked") + b"zz\r\n\r\n")
        reply = read_reply(wire)
    assert reply.status == 400
    assert httpx.get(f"{address}/health/live").status_code == 200


def test_a_connection_too_many_is_told_so(address: str) -> None:
    wires = [connect(address, timeout_s=3) for _ in range(20)]
    try:
        time.sleep(0.1)
        with connect(address, timeout_s=3) as wire:
            reply = read_reply(wire)
            assert (reply.status, reply.json()["code"]) == (503, "too_many_connections")
            assert reply.headers["retry-after"] == "2"
            assert is_closed(wire)
    finally:
        for wire in wires:
            wire.close()
    wait_until(lambda: _alive(address))


def _alive(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live").status_code == 200
    except httpx.TransportError:
        return False


# --------------------------------------------------------------------------- stallers
@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    limits = WireLimits(max_connections=50, head_s=0.3, keep_alive_s=1, linger_s=0.3)
    with serving(settings(max_body_bytes=1000), builder(components()), limits) as url:
        wait_until(lambda: loaded(url).status_code == 200)
        yield url


@pytest.mark.parametrize("sent", [b"", b"POST /api/v1/analyze HT", b"GET / HTTP/1.1\r\nHost: te"])
def test_a_request_head_that_does_not_arrive_is_hung_up_on(strict: str, sent: bytes) -> None:
    with connect(strict, timeout_s=3) as wire:
        wire.sendall(sent)
        started = time.monotonic()
        assert is_closed(wire)
        assert 0.1 < time.monotonic() - started < 2


def test_a_trickling_head_after_an_answer_is_hung_up_on(strict: str) -> None:
    with connect(strict, timeout_s=0.1) as wire:
        wire.sendall(head("/health/live", method="GET"))
        wire.settimeout(2)
        assert read_reply(wire).status == 200
        wire.settimeout(0.1)
        started = time.monotonic()
        closed = False
        with suppress(BrokenPipeError, ConnectionResetError):
            while not closed and time.monotonic() - started < 5:
                wire.sendall(b"G")
                closed = is_closed(wire)
    assert 1.0 < time.monotonic() - started < 3


def test_a_refused_body_is_not_read_for_ever(strict: str) -> None:
    with connect(strict, timeout_s=3) as wire:
        wire.sendall(head(ANALYZE, JSON, "Content-Length: 1000000"))
        assert read_reply(wire).status == 413
        started = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 3:
                wire.sendall(b"a" * 100)
                time.sleep(0.02)
    assert time.monotonic() - started < 2


def test_a_client_that_keeps_its_connection_is_served_again_and_again(strict: str) -> None:
    with connect(strict, timeout_s=3) as wire:
        for _ in range(6):
            wire.sendall(head("/health/live", method="GET"))
            assert read_reply(wire).status == 200
            time.sleep(0.15)


# --------------------------------------------------------------------------- clients that go away
def test_a_client_that_goes_away_frees_its_place() -> None:
    gate = Gate()
    parts = components(before=gate)
    body = head(ANALYZE, JSON, f"Content-Length: {len(BODY)}") + BODY
    with live_server(parts, queue_size=1, request_timeout_s=20) as url, httpx.Client(base_url=url) as client:
        running, waiting = connect(url), connect(url)
        running.sendall(body)
        assert gate.entered.wait(5)
        waiting.sendall(body)
        wait_until(lambda: _depth(client) == 2)
        assert client.post(ANALYZE, json={"text": ENGLISH}).json()["code"] == "queue_full"
        waiting.close()
        wait_until(lambda: _depth(client) == 1)
        running.close()  # the encoder sees the cancellation, stops, and gives its place back too
        wait_until(lambda: _depth(client) == 0)
        gate.open.set()
        assert client.post(ANALYZE, json={"text": ENGLISH}).status_code == 200
        metrics = client.get("/metrics").text
    assert isinstance(parts.omni, FakeEncoder)
    assert len(parts.omni.calls) == 2, "the one that waited was never begun"
    assert 'route="/api/v1/analyze",status="499"} 2.0' in metrics


def test_a_client_that_goes_away_while_sending_is_forgotten() -> None:
    with live_server(components(), body_timeout_s=10) as url, httpx.Client(base_url=url) as client:
        with connect(url) as wire:
            wire.sendall(head(ANALYZE, JSON, "Content-Length: 1000") + b'{"te')
        wait_until(lambda: 'route="/api/v1/analyze",status="499"} 1.0' in client.get("/metrics").text)


def _depth(client: httpx.Client) -> int:
    depth: int = client.get("/health").json()["queue_depth"]
    return depth


# --------------------------------------------------------------------------- load
def test_alive_while_the_models_work_and_while_bodies_are_parsed() -> None:
    """Nine of ten answers come within 0.1 s, and none waits for an inference or for a body of 20 MB."""

    def slow(_case: object, _cancellation: object) -> None:
        time.sleep(0.8)

    big = json.dumps({"text": ENGLISH, "image": b64(bytes(15_000_000))}).encode()
    with live_server(components(before=slow), request_timeout_s=20) as url, httpx.Client(base_url=url) as client:
        client.get("/health/live")
        calls = [
            threading.Thread(target=lambda body=body: httpx.post(url + ANALYZE, content=body, headers=_json()))
            for body in (BODY, BODY, big, BODY)
        ]
        for call in calls:
            call.start()
        waits = []
        while any(call.is_alive() for call in calls):
            started = time.perf_counter()
            assert client.get("/health/live").status_code == 200
            waits.append(time.perf_counter() - started)
            time.sleep(0.01)
    waits.sort()
    assert waits[int(len(waits) * 0.9)] < 0.1
    assert waits[-1] < 0.6


def _json() -> dict[str, str]:
    return {"Content-Type": "application/json"}


def test_sixteen_clients_against_a_queue_of_two_get_200_or_429() -> None:
    def slow(_case: object, _cancellation: object) -> None:
        time.sleep(0.02)

    statuses: list[int] = []
    waits: list[int] = []

    def call(url: str) -> None:
        with httpx.Client(base_url=url) as client:
            for _ in range(10):
                response = client.post(ANALYZE, json={"text": ENGLISH})
                statuses.append(response.status_code)
                if response.status_code == 429:
                    waits.append(int(response.headers["retry-after"]))
                    assert response.json()["code"] == "queue_full"

    with live_server(components(before=slow), queue_size=2) as url:
        threads = [threading.Thread(target=call, args=(url,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert httpx.post(url + ANALYZE, json={"text": ENGLISH}).status_code == 200
    assert len(statuses) == 160
    assert set(statuses) == {200, 429}
    assert all(1 <= wait <= 60 for wait in waits)


def test_large_bodies_are_bounded_over_all_requests() -> None:
    """Three of the largest are held at once; a fourth is told to come back."""
    with live_server(components(), max_body_bytes=1_000_000, body_timeout_s=5) as url, ExitStack() as stack:
        wires = [stack.enter_context(connect(url, timeout_s=1.0)) for _ in range(4)]
        for wire in wires:
            wire.sendall(head(ANALYZE, JSON, "Content-Length: 1000000") + b" " * 900_000)
        replies = []
        for wire in wires:
            with suppress(TimeoutError):
                replies.append(read_reply(wire))
        assert [(reply.status, reply.json()["code"]) for reply in replies] == [(429, "server_busy")]
        stack.close()
        wait_until(lambda: httpx.post(url + ANALYZE, json={"text": ENGLISH}).status_code == 200)
