"""What must be refused, at the wire: each gets its own status and code, and the next good request is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from app.media import MediaLimits
from app.services.decoding import CaseDecoder
from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, UPLOAD, live_server
from tests.api.media_files import b64, png, wav
from tests.services.fakes import components

SECRET = "zxqSECRETzxq"
LIMITS = {
    "max_body_bytes": 200_000,
    "max_text_chars": 1000,
    "max_image_bytes": 50_000,
}
JSON = {"Content-Type": "application/json"}


class Bad(NamedTuple):
    name: str
    body: bytes
    status: int
    code: str
    headers: dict[str, str] = JSON
    path: str = ANALYZE
    pointer: str | None = None
    """Where the first of `errors` must point."""


def raw(name: str, body: bytes, status: int = 400, code: str = "json_invalid") -> Bad:
    return Bad(name, body, status, code)


def field(name: str, value: object, pointer: str, code: str = "validation_failed", status: int = 422) -> Bad:
    return Bad(name, json.dumps(value).encode(), status, code, pointer=pointer)


def media(name: str, value: object, code: str, status: int = 422) -> Bad:
    return Bad(name, json.dumps(value).encode(), status, code)


def feedback(name: str, value: object, code: str, status: int = 422) -> Bad:
    return Bad(name, json.dumps(value).encode(), status, code, path=FEEDBACK)


def form(name: str, body: bytes, status: int, code: str, pointer: str | None = None, boundary: str = "b0") -> Bad:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return Bad(name, body, status, code, headers, UPLOAD, pointer)


def part(name: str, data: bytes, *, filename: str | None = None) -> bytes:
    extra = "" if filename is None else f'; filename="{filename}"'
    return f'--b0\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"


END = b"--b0--\r\n"
DEEP = b'{"text":"x","patient":' + b'{"vitals":' * 50_000 + b"1" + b"}" * 50_000 + b"}"

TABLE = [
    # --- not JSON
    raw("empty body", b""),
    raw("cut off", b'{"text": "chest'),
    raw("not JSON", b"text=chest pain"),
    raw("two values", b'{"text":"a"} {"text":"b"}'),
    raw("trailing comma", b'{"text":"a",}'),
    raw("single quotes", b"{'text':'a'}"),
    raw("NaN", b'{"text":"a","patient":{"age":NaN}}'),
    raw("Infinity", b'{"text":"a","patient":{"age":Infinity}}'),
    raw("minus Infinity", b'{"text":"a","patient":{"age":-Infinity}}'),
    raw("deep arrays", b'{"text":' + b"[" * 90_000),
    raw("deep objects", DEEP[:190_000]),
    raw("invalid UTF-8", b'{"text":"\xff\xfe chest"}'),
    raw("overlong UTF-8", b'{"text":"\xc0\xaf"}'),
    raw("UTF-16", '{"text":"chest pain"}'.encode("utf-16")),
    raw("EUC-KR", '{"text":"가슴 통증"}'.encode("euc-kr")),
    raw("byte order mark", b"\xef\xbb\xbf" + b'{"text":"a"}'),
    raw("lone surrogate", b'{"text":"\\ud800 chest"}'),
    raw("raw null byte", b'{"text":"a\x00b"}'),
    raw("raw control character", b'{"text":"a\x07b"}'),
    raw("number of 10,000 digits", b'{"text":"a","patient":{"age":' + b"9" * 10_000 + b"}}"),
    # --- JSON, but not a case
    field("a list", [ENGLISH], ""),
    field("a string", ENGLISH, ""),
    field("null", None, ""),
    field("a number", 7, ""),
    field("text is a number", {"text": 5}, "/text"),
    field("text is a list", {"text": [SECRET]}, "/text"),
    field("text is an object", {"text": {SECRET: 1}}, "/text"),
    field("escaped null character", {"text": f"a\x00{SECRET}"}, "/text"),
    field("unknown field", {"text": "a", SECRET: 1}, ""),
    field("unknown patient field", {"text": "a", "patient": {SECRET: 1}}, "/patient"),
    field("unknown vital sign", {"text": "a", "patient": {"vitals": {SECRET: 1}}}, "/patient/vitals"),
    field("unknown language", {"text": "a", "language": SECRET}, "/language"),
    field("explain is a string", {"text": "a", "explain": SECRET}, "/explain"),
    Bad("explain in the address", b'{"text":"38.5"}', 422, "validation_failed", path=f"{ANALYZE}?explain={SECRET}"),
    field("age is a string", {"text": "a", "patient": {"age": "45"}}, "/patient/age"),
    field("age is true", {"text": "a", "patient": {"age": True}}, "/patient/age"),
    field("age below zero", {"text": "a", "patient": {"age": -1}}, "/patient/age"),
    field("age of 200", {"text": "a", "patient": {"age": 200}}, "/patient/age"),
    field("patient is a list", {"text": "a", "patient": []}, "/patient"),
    field("sex is unknown", {"text": "a", "patient": {"sex": SECRET}}, "/patient/sex"),
    field("pain of 11", {"text": "a", "patient": {"pain": 11}}, "/patient/pain"),
    field("pain of 3.5", {"text": "a", "patient": {"pain": 3.5}}, "/patient/pain"),
    field("AVPU is unknown", {"text": "a", "patient": {"consciousness": "asleep"}}, "/patient/consciousness"),
    field("vitals is a string", {"text": "a", "patient": {"vitals": SECRET}}, "/patient/vitals"),
    field("spo2 of 101", {"text": "a", "patient": {"vitals": {"spo2": 101}}}, "/patient/vitals/spo2"),
    field(
        "temperature in Fahrenheit",
        {"text": "a", "patient": {"vitals": {"temperature": 101}}},
        "/patient/vitals/temperature",
    ),
    field("sbp below dbp", {"text": "a", "patient": {"vitals": {"sbp": 80, "dbp": 90}}}, "/patient/vitals"),
    field("sbp equals dbp", {"text": "a", "patient": {"vitals": {"sbp": 80, "dbp": 80}}}, "/patient/vitals"),
    Bad("1e999", b'{"text":"a","patient":{"age":1e999}}', 422, "validation_failed", pointer="/patient/age"),
    field("five images", {"image": [b64(png())] * 5}, "/image"),
    field("no images", {"image": []}, "/image"),
    field("an image that is a number", {"image": [7]}, "/image/0"),
    field("an image that is null", {"image": [None]}, "/image/0"),
    field("audio is a list", {"audio": [b64(wav())]}, "/audio"),
    media("nothing", {}, "case_empty"),
    media("only a patient", {"patient": {"age": 5}}, "case_empty"),
    media("empty text", {"text": ""}, "case_empty"),
    media("blank text", {"text": " \n\t\u3000 "}, "case_empty"),
    media("control characters only", {"text": "\x01\x02\x03"}, "case_empty"),
    media("all null", {"text": None, "image": None, "audio": None, "video": None}, "case_empty"),
    media("text too long", {"text": "a" * 1001}, "text_too_long", 413),
    # --- media
    field("path", {"image": "/etc/passwd"}, "/image", "media_reference_not_allowed"),
    field("URL", {"image": "http://169.254.169.254/latest"}, "/image", "media_reference_not_allowed"),
    field("file URL", {"audio": "file:///etc/passwd"}, "/audio", "media_reference_not_allowed"),
    field("Windows path", {"video": "C:\\secret.mp4"}, "/video", "media_reference_not_allowed"),
    field(
        "URL as second image",
        {"image": [b64(png()), "https://x.example/a.png"]},
        "/image/1",
        "media_reference_not_allowed",
    ),
    media("not base64", {"image": "!!!!"}, "media_base64_invalid"),
    media("data URI without base64", {"image": "data:image/png,abc"}, "media_data_uri_not_base64"),
    media(
        "data URI of another kind", {"image": "data:text/html;base64," + b64(b"<p>")}, "media_type_not_accepted", 415
    ),
    media("empty image", {"image": ""}, "image_empty"),
    media("text as image", {"image": b64(b"hello, this is text")}, "image_unsupported", 415),
    media("sound as image", {"image": b64(wav())}, "image_unsupported", 415),
    media("image as sound", {"audio": b64(png())}, "audio_unsupported", 415),
    media("image as video", {"video": b64(png())}, "video_unsupported", 415),
    media("cut off image", {"image": b64(png()[:60])}, "image_damaged"),
    media("cut off sound", {"audio": b64(wav()[:2000])}, "audio_damaged"),
    media("sound without samples", {"audio": b64(wav(0))}, "audio_empty"),
    media("image over its bytes", {"image": b64(bytes(60_000))}, "image_too_large", 413),
    media("image over its pixels", {"image": b64(png(128))}, "image_too_many_pixels", 413),
    media("sound over its seconds", {"audio": b64(wav(4))}, "audio_too_long", 413),
    # --- bodies and their types
    Bad("body too large", b'{"text":"' + b"a" * 250_000 + b'"}', 413, "body_too_large"),
    Bad(
        "form to the JSON route",
        b"text=a",
        415,
        "content_type_unsupported",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    Bad("no content type", b'{"text":"a"}', 415, "content_type_unsupported", {}),
    Bad("XML", b"<a/>", 415, "content_type_unsupported", {"Content-Type": "application/xml"}),
    Bad(
        "JSON in another charset",
        b'{"text":"a"}',
        415,
        "content_type_unsupported",
        {"Content-Type": "application/json; charset=euc-kr"},
    ),
    Bad("gzip", b"\x1f\x8b", 415, "content_encoding_unsupported", {**JSON, "Content-Encoding": "gzip"}),
    Bad("JSON to the form route", b'{"text":"a"}', 415, "content_type_unsupported", JSON, UPLOAD),
    # --- multipart
    form("empty form body", b"", 400, "multipart_invalid"),
    form("no parts", END, 422, "case_empty"),
    form("not multipart", b"hello", 400, "multipart_invalid"),
    form("no boundary", part("text", b"a") + END, 400, "multipart_invalid", boundary=""),
    form("another boundary", part("text", b"a") + END, 400, "multipart_invalid", boundary="other"),
    form("cut off form", part("text", b"a")[:-6], 400, "multipart_invalid"),
    form("part without a name", b"--b0\r\nContent-Disposition: form-data\r\n\r\na\r\n" + END, 400, "multipart_invalid"),
    form("part without headers", b"--b0\r\n\r\na\r\n" + END, 400, "multipart_invalid"),
    form("too many parts", part("text", b"a") * 17 + END, 413, "multipart_too_many_parts"),
    form("unknown part", part("text", b"a") + part(SECRET, b"b") + END, 422, "validation_failed", ""),
    form("text twice", part("text", b"a") + part("text", b"b") + END, 422, "validation_failed", "/text"),
    form("five image parts", part("image", png(), filename="a.png") * 5 + END, 422, "validation_failed", "/image"),
    form("text not UTF-8", part("text", b"\xff\xfe") + END, 422, "validation_failed", "/text"),
    form("patient not JSON", part("text", b"a") + part("patient", b"{") + END, 422, "validation_failed", "/patient"),
    form(
        "patient out of range",
        part("text", b"a") + part("patient", b'{"age":-1}') + END,
        422,
        "validation_failed",
        "/patient/age",
    ),
    form("explain unknown", part("text", b"a") + part("explain", b"1") + END, 422, "validation_failed", "/explain"),
    form("language unknown", part("text", b"a") + part("language", b"fr") + END, 422, "validation_failed", "/language"),
    form("null in text", part("text", b"a\x00b") + END, 422, "validation_failed", "/text"),
    form("empty file", part("image", b"", filename="a.png") + END, 422, "image_empty"),
    form("path as file", part("image", b"/etc/passwd", filename="/etc/passwd") + END, 415, "image_unsupported"),
    form("form too large", part("text", b"a" * 250_000) + END, 413, "body_too_large"),
    # --- feedback
    feedback("no verdict", {"analysis_id": "an_1"}, "validation_failed"),
    feedback("verdict is a string", {"analysis_id": "an_1", "is_correct": "yes"}, "validation_failed"),
    feedback("verdict is 1", {"analysis_id": "an_1", "is_correct": 1}, "validation_failed"),
    feedback("about nothing", {"is_correct": True}, "feedback_subject_missing"),
    feedback("query without prediction", {"query": SECRET, "is_correct": True}, "feedback_subject_missing"),
    feedback(
        "two subjects",
        {"analysis_id": "a", "query": SECRET, "prediction": "p", "is_correct": True},
        "feedback_subject_twice",
    ),
    feedback("unknown analysis", {"analysis_id": SECRET, "is_correct": True}, "analysis_not_found", 404),
    feedback("null in comments", {"analysis_id": "a", "is_correct": True, "comments": "a\x00b"}, "validation_failed"),
    feedback(
        "blank correction", {"analysis_id": "a", "is_correct": False, "corrected_diagnosis": "  "}, "validation_failed"
    ),
    feedback("long analysis id", {"analysis_id": "a" * 65, "is_correct": True}, "validation_failed"),
    Bad("feedback too large", b'{"comments":"' + b"a" * 263_000 + b'"}', 413, "body_too_large", JSON, FEEDBACK),
    Bad("feedback not JSON", b"{", 400, "json_invalid", JSON, FEEDBACK),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    decoder = CaseDecoder(MediaLimits(max_image_pixels=10_000, max_audio_seconds=2.0))
    with live_server(components(media=decoder), **LIMITS) as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=10) as http:
        yield http


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 60
    assert len({bad.name for bad in TABLE}) == len(TABLE)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_bad_input_is_refused_and_the_next_good_one_answered(client: httpx.Client, bad: Bad) -> None:
    response = client.post(bad.path, content=bad.body, headers=bad.headers)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (bad.status, bad.code), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == bad.status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert SECRET not in response.text
    if bad.pointer is not None:
        assert problem["errors"][0]["pointer"] == bad.pointer, problem["errors"]
    good = client.post(ANALYZE, json={"text": ENGLISH})
    assert good.status_code == 200


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_the_same_is_said_in_korean(client: httpx.Client, bad: Bad) -> None:
    korean = {"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}
    response = client.post(bad.path, content=bad.body, headers={**bad.headers, **korean})
    problem = response.json()
    assert response.headers["content-language"] == "ko"
    for words in (problem["title"], problem["detail"], *(item["detail"] for item in problem.get("errors", []))):
        assert any("가" <= letter <= "힣" for letter in words)
    assert SECRET not in response.text
