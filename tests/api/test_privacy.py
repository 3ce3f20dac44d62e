"""What a patient said stays in the answer: not in logs, metrics, errors, or the database's rows."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest
import structlog

from app.domain import Case
from app.encoders.session import Cancellation
from app.observability import configure_logging
from tests.api.harness import ANALYZE, FEEDBACK, UPLOAD, asgi_client
from tests.services.fakes import FakeStorage, components

SECRET = "hongGilDong880101"
TEXT = f"{SECRET} has chest pain"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that the process writes to its log, as JSON lines at the most talkative level."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    with redirect_stdout(written):
        configure_logging("DEBUG", "json")
        yield written
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail(case: Case, _cancellation: Cancellation) -> None:
    if case.text is not None and "crash" in case.text:
        raise ValueError(f"cannot read {case.text}") from KeyError(case.text)


def ours(log: io.StringIO) -> str:
    """Without the lines of the test's own client."""
    return "\n".join(line for line in log.getvalue().splitlines() if json.loads(line)["logger"] != "httpx")


async def test_no_word_of_the_patient_leaves_the_answer(log: io.StringIO) -> None:
    storage = FakeStorage()
    async with asgi_client(components(before=fail, storage=storage)) as client:
        good = await client.post(ANALYZE, json={"text": TEXT})
        assert good.status_code == 200
        refused = [
            await client.post(ANALYZE, json={"text": 1, SECRET: 2, "language": SECRET}),
            await client.post(ANALYZE, json={"text": TEXT, "image": f"/home/{SECRET}.png"}),
            await client.post(ANALYZE, json={"text": TEXT + "\x00"}),
            await client.post(
                ANALYZE, content=f'{{"text":"{SECRET}'.encode(), headers={"content-type": "application/json"}
            ),
            await client.post(ANALYZE, json={"text": f"crash {TEXT}"}),
            await client.post(
                UPLOAD, data={SECRET: "1", "patient": SECRET}, files={"image": (SECRET, SECRET.encode())}
            ),
            await client.post(FEEDBACK, json={"analysis_id": SECRET[:8], "is_correct": False, "comments": SECRET}),
            await client.get(f"/{SECRET}?name={SECRET}", headers={"X-Request-ID": f"{SECRET} {SECRET}"}),
            await client.request(SECRET, "/health"),
        ]
        await client.post(FEEDBACK, json={"query": TEXT, "prediction": "p", "is_correct": True})
        metrics = (await client.get("/metrics")).text
    assert all(400 <= answer.status_code <= 500 for answer in refused)
    assert [answer.status_code for answer in refused].count(500) == 1
    for where in (ours(log), metrics, repr(storage.rows), repr(storage.verdicts)):
        assert SECRET not in where
    for answer in refused:
        assert SECRET not in answer.text + str(answer.headers)
    assert ours(log).count('"event": "request"') >= 10


async def test_an_unexpected_error_is_logged_by_type_and_place(log: io.StringIO) -> None:
    async with asgi_client(components(before=fail)) as client:
        answer = await client.post(ANALYZE, json={"text": f"crash {TEXT}"}, headers={"Accept-Language": "ko"})
        again = await client.post(ANALYZE, json={"text": TEXT})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["title"] == "Internal error", "the text was English, so is the answer"
    assert again.status_code == 200
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    error = next(line for line in lines if line["event"] == "unexpected_error")
    assert error["request_id"] == answer.json()["request_id"]
    assert error["exception"] == "builtins.ValueError <- builtins.KeyError"
    assert any("test_privacy.py" in place and place.endswith(" fail") for place in error["stack"])


async def test_every_request_is_one_line_with_its_route_and_id(log: io.StringIO) -> None:
    async with asgi_client(components()) as client:
        log.truncate(0)
        log.seek(0)
        answer = await client.post(ANALYZE, json={"text": TEXT}, headers={"X-Request-ID": "my-request-0001"})
        strange = await client.get("/health/live", headers={"X-Request-ID": "no spaces please"})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", ANALYZE, 200),
        ("GET", "/health/live", 200),
    ]
    assert requests[0]["request_id"] == answer.headers["x-request-id"] == "my-request-0001"
    assert requests[1]["request_id"] == strange.headers["x-request-id"] != "no spaces please"
    assert requests[0]["ms"] > 0


def test_the_standard_librarys_loggers_come_out_the_same_way(log: io.StringIO) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
    line = json.loads(log.getvalue().splitlines()[-1])
    assert (line["event"], line["logger"], line["level"]) == ("it failed", "some.library", "error")
    assert line["exception"] == "builtins.ValueError"
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_both_formats_write_korean_as_it_is(log_format: str, log: io.StringIO) -> None:
    with redirect_stdout(io.StringIO()) as written:
        configure_logging("INFO", log_format)  # type: ignore[arg-type]
        structlog.get_logger("x").info("listening", example="가슴")
    assert "가슴" in written.getvalue()
