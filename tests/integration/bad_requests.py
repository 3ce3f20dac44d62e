"""Bad requests that hold no media: bodies, fields, forms, feedback, methods and headers."""

from __future__ import annotations

import gzip
import json

from tests.integration.requests import (
    ANALYZE,
    END,
    FEEDBACK,
    FORM,
    JSON,
    SECRET,
    UPLOAD,
    Bad,
    Wire,
    case,
    feedback,
    form,
    part,
    raw,
    whole,
)

KOREAN = f'{{"text": "가슴이 아파요 {SECRET}"}}'
GOOD = {"text": f"cough {SECRET}"}


def nested(depth: int) -> bytes:
    return b'{"text":"a","patient":' + b"[" * depth + b"]" * depth + b"}"


def patient(name: str, value: object, pointer: str) -> Bad:
    return case(f"patient: {name}", {**GOOD, "patient": value}, f"/patient{pointer}")


def vitals(name: str, pointer: str = "", **values: object) -> Bad:
    return patient(name, {"vitals": values}, f"/vitals{pointer}")


def sent(name: str, status: int, code: str, wire: Wire) -> Bad:
    return Bad(name, status, code, lambda: wire)


def typed(name: str, content_type: str | None, code: str = "content_type_unsupported", path: str = ANALYZE) -> Bad:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return sent(f"content type: {name}", 415, code, Wire(json.dumps(GOOD).encode(), path, headers))


def key(name: str, value: bytes) -> Bad:
    """A feedback that would be refused later for another reason; the key is looked at first."""
    headers = {**JSON, "Idempotency-Key": value.decode("latin-1")}
    return sent(f"idempotency key: {name}", 422, "idempotency_key_invalid", Wire(b"{}", FEEDBACK, headers))


BODIES = [
    raw("empty body", b""),
    raw("cut off JSON", KOREAN.encode()[:-4]),
    raw("cut off inside a letter", KOREAN.encode()[:14]),
    raw("not JSON", f"text={SECRET}".encode()),
    raw("two values", b'{"text":"a"} {"text":"b"}'),
    raw("comment", b'{"text":"a"} // ' + SECRET.encode()),
    raw("NaN", b'{"text":"a","patient":{"age":NaN}}'),
    raw("Infinity", b'{"text":"a","patient":{"age":Infinity}}'),
    raw("minus Infinity", b'{"text":"a","patient":{"vitals":{"sbp":-Infinity}}}'),
    raw("100,000 arrays deep", nested(100_000)),
    raw("100,000 objects deep", b'{"patient":' * 100_000),
    raw("201 arrays deep", nested(201)),
    raw("invalid UTF-8", b'{"text":"cough \xff\xfe"}'),
    raw("overlong UTF-8", b'{"text":"\xc0\x80"}'),
    raw("UTF-8 of a surrogate", b'{"text":"\xed\xa0\x80"}'),
    raw("half a surrogate pair", b'{"text":"cough \\ud83d"}'),
    raw("surrogates the wrong way round", b'{"text":"\\udc00\\ud800"}'),
    raw("UTF-16", KOREAN.encode("utf-16")),
    raw("UTF-16 without a mark", KOREAN.encode("utf-16-le")),
    raw("UTF-32", KOREAN.encode("utf-32")),
    raw("EUC-KR", KOREAN.encode("euc-kr")),
    raw("CP949", KOREAN.encode("cp949")),
    raw("null byte", b'{"text":"cough\x00"}'),
    raw("nothing but null bytes", bytes(1000)),
    raw("number of 10,000 digits", b'{"text":"a","patient":{"age":' + b"9" * 10_000 + b"}}"),
    case("20 arrays deep", json.loads(nested(20)), "/patient"),
    whole("text of 20,001 letters", {"text": "가" * 20_001}, "text_too_long", 413),
    whole("text of five million letters", {"text": "a" * 5_000_000}, "text_too_long", 413),
]

FIELDS = [
    case("a list", [SECRET], ""),
    case("a string", SECRET, ""),
    case("null", None, ""),
    case("true", True, ""),
    case("text is a number", {"text": 5}, "/text"),
    case("text is a list", {"text": [SECRET]}, "/text"),
    case("null character in the text", {"text": f"cough\x00{SECRET}"}, "/text"),
    case("unknown field", {**GOOD, SECRET: SECRET}, ""),
    case("image_path", {**GOOD, "image_path": "/etc/passwd"}, ""),
    case("field in capitals", {"Text": SECRET}, ""),
    case("__proto__", {**GOOD, "__proto__": {}}, ""),
    case("language is not one of ours", {**GOOD, "language": SECRET}, "/language"),
    case("five images", {"image": ["aaaa"] * 5}, "/image"),
    case("a thousand images", {"image": ["aaaa"] * 1000}, "/image"),
    case("no images", {"image": []}, "/image"),
    case("an image that is an object", {"image": {"url": SECRET}}, "/image"),
    case("a list of sounds", {"audio": [SECRET]}, "/audio"),
    whole("nothing", {}),
    whole("empty text", {"text": ""}),
    whole("white space", {"text": " \t\r\n\u00a0\u3000\u2003"}),
    whole("control characters", {"text": "\x01\x02\x1f\x7f"}),
    whole("everything null", {"text": None, "image": None, "audio": None, "video": None, "patient": None}),
    whole("only a patient", {"patient": {"age": 40, "vitals": {"spo2": 80}}}),
    patient("is a string", SECRET, ""),
    patient("unknown field", {SECRET: 1}, ""),
    patient("age is a string", {"age": "45"}, "/age"),
    patient("age is true", {"age": True}, "/age"),
    patient("age of -1", {"age": -1}, "/age"),
    patient("age of 131", {"age": 131}, "/age"),
    patient("age of 400 digits", {"age": 10**400}, "/age"),
    patient("sex is not one of ours", {"sex": SECRET}, "/sex"),
    patient("pain of 11", {"pain": 11}, "/pain"),
    patient("pain of 3.5", {"pain": 3.5}, "/pain"),
    patient("not AVPU", {"consciousness": SECRET}, "/consciousness"),
    vitals("unknown vital sign", **{SECRET: 1}),
    vitals("sbp of 500", "/sbp", sbp=500),
    vitals("dbp of 0", "/dbp", dbp=0),
    vitals("heart rate of -1", "/heart_rate", heart_rate=-1),
    vitals("121 breaths", "/respiratory_rate", respiratory_rate=121),
    vitals("temperature in Fahrenheit", "/temperature", temperature=101.2),
    vitals("spo2 of 101", "/spo2", spo2=101),
    vitals("sbp below dbp", sbp=80, dbp=90),
    vitals("sbp equal to dbp", sbp=80, dbp=80),
    Bad("1e999", 422, "validation_failed", lambda: Wire(b'{"text":"a","patient":{"age":1e999}}'), "/patient/age"),
]

FEEDBACKS = [
    feedback("empty", {}, "validation_failed", pointer="/is_correct"),
    feedback(
        "verdict is a string", {"analysis_id": "a", "is_correct": "true"}, "validation_failed", 422, "/is_correct"
    ),
    feedback("about nothing", {"is_correct": True}, "feedback_subject_missing"),
    feedback("prediction alone", {"prediction": SECRET, "is_correct": True}, "feedback_subject_missing"),
    feedback(
        "two subjects",
        {"analysis_id": "a", "query": SECRET, "prediction": SECRET, "is_correct": True},
        "feedback_subject_twice",
    ),
    feedback("unknown analysis", {"analysis_id": "an_" + "0" * 32, "is_correct": True}, "analysis_not_found", 404),
    feedback("SQL as id", {"analysis_id": "' OR 1=1 --", "is_correct": True}, "analysis_not_found", 404),
    feedback(
        "id of 65 letters", {"analysis_id": "a" * 65, "is_correct": True}, "validation_failed", 422, "/analysis_id"
    ),
    feedback(
        "null character",
        {"analysis_id": "a", "is_correct": True, "comments": f"\x00{SECRET}"},
        "validation_failed",
        422,
        "/comments",
    ),
    sent("feedback: too large", 413, "body_too_large", Wire(b'{"comments":"' + b"a" * 262_144 + b'"}', FEEDBACK)),
    sent("feedback: half a surrogate pair", 400, "json_invalid", Wire(b'{"comments":"\\ud800"}', FEEDBACK)),
    key("space", b"a b"),
    key("129 characters", b"a" * 129),
    key("empty", b""),
    key("Latin-1", b"caf\xe9"),
]

HTTP = [
    typed("none", None),
    typed("empty", ""),
    typed("text", "text/plain"),
    typed("form", "application/x-www-form-urlencoded"),
    typed("EUC-KR", "application/json; charset=euc-kr"),
    typed("a form to the JSON route", FORM["Content-Type"]),
    typed("JSON to the form route", "application/json", path=UPLOAD),
    typed("multipart/mixed", "multipart/mixed; boundary=b0undary", path=UPLOAD),
    sent(
        "gzip",
        415,
        "content_encoding_unsupported",
        Wire(gzip.compress(json.dumps(GOOD).encode()), headers={**JSON, "Content-Encoding": "gzip"}),
    ),
    sent(
        "gzip bomb",
        415,
        "content_encoding_unsupported",
        Wire(gzip.compress(bytes(50_000_000)), headers={**JSON, "Content-Encoding": "gzip"}),
    ),
    sent("GET", 405, "method_not_allowed", Wire(b"", method="GET")),
    sent("DELETE", 405, "method_not_allowed", Wire(b"", FEEDBACK, method="DELETE")),
    sent("a method of one's own", 405, "method_not_allowed", Wire(b"", method="BREW")),
    sent("POST to health", 405, "method_not_allowed", Wire(b"{}", "/health")),
    sent("POST to the documentation's files", 405, "method_not_allowed", Wire(b"{}", "/docs/assets/swagger-ui.css")),
    sent("unknown route", 404, "route_not_found", Wire(b"{}", f"/api/v1/{SECRET}")),
    sent("slash too many", 404, "route_not_found", Wire(b"{}", f"{ANALYZE}/")),
    sent(
        "out of the folder",
        404,
        "route_not_found",
        Wire(b"", "/docs/assets/%2e%2e/%2e%2e/%2e%2e/pyproject.toml", {}, "GET"),
    ),
    sent("null byte in the path", 404, "route_not_found", Wire(b"", "/docs/assets/%00", {}, "GET")),
    sent("endless name", 404, "route_not_found", Wire(b"", "/docs/assets/" + "a" * 5000, {}, "GET")),
]

TEXT_PART = part("text", b"cough")
FORMS = [
    form("empty", b"", 400, "multipart_invalid"),
    form("no parts", END, 422, "case_empty"),
    form("not multipart", SECRET.encode(), 400, "multipart_invalid"),
    form("no boundary", TEXT_PART + END, 400, "multipart_invalid", boundary=""),
    form("another boundary", TEXT_PART + END, 400, "multipart_invalid", boundary=SECRET),
    form("cut off", TEXT_PART + part("image", b"\x89PNG")[:-3], 400, "multipart_invalid"),
    form("part without a name", part("text", b"a").replace(b'name="text"', b"x") + END, 400, "multipart_invalid"),
    form("17 parts", TEXT_PART * 17 + END, 413, "multipart_too_many_parts"),
    form("unknown part", TEXT_PART + part(SECRET, SECRET.encode()) + END, 422, "validation_failed", ""),
    form("text twice", TEXT_PART * 2 + END, 422, "validation_failed", "/text"),
    form("patient twice", TEXT_PART + part("patient", b"{}") * 2 + END, 422, "validation_failed", "/patient"),
    form("five images", part("image", b"\x89PNG", filename="a.png") * 5 + END, 422, "validation_failed", "/image"),
    form("text in EUC-KR", part("text", "가슴".encode("euc-kr")) + END, 422, "validation_failed", "/text"),
    form("null character", part("text", b"a\x00b") + END, 422, "validation_failed", "/text"),
    form("white space", part("text", b" \r\n ") + END, 422, "case_empty"),
    form("broken patient", TEXT_PART + part("patient", b'{"age":') + END, 422, "validation_failed", "/patient"),
    form("patient is text", TEXT_PART + part("patient", SECRET.encode()) + END, 422, "validation_failed", "/patient"),
    form("patient has NaN", TEXT_PART + part("patient", b'{"age":NaN}') + END, 422, "validation_failed", "/patient"),
    form("patient is a list", TEXT_PART + part("patient", b"[]") + END, 422, "validation_failed", "/patient"),
    form("age of -1", TEXT_PART + part("patient", b'{"age":-1}') + END, 422, "validation_failed", "/patient/age"),
    form("unknown language", TEXT_PART + part("language", b"fr") + END, 422, "validation_failed", "/language"),
    form("empty file", part("audio", b"", filename="a.wav") + END, 422, "audio_empty", "/audio"),
    form(
        "path as an image",
        part("image", b"/etc/passwd", filename="../../etc/passwd") + END,
        415,
        "image_unsupported",
        "/image",
    ),
    form("URL as a video", part("video", b"http://127.0.0.1/v.mp4") + END, 415, "video_unsupported", "/video"),
]

BAD_REQUESTS = [*BODIES, *FIELDS, *FEEDBACKS, *HTTP, *FORMS]
