"""Every problem code that the service can send, with its status, read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import app.errors
from app.api.messages.problems import PROBLEMS
from app.api.problems import STATUS, status_of
from app.api.validation import ValidationFailedError
from app.errors import AppError, ArtifactError
from app.media.subject import Subject
from app.storage import failures

APP = Path(app.errors.__file__).parent
SENDERS = ("api", "services", "media", "encoders", "knowledge", "storage", "versions")
ERRORS = {
    name: kind for name, kind in vars(app.errors).items() if isinstance(kind, type) and issubclass(kind, AppError)
}
KINDS = ("image", "audio", "video")

NEVER_SENT = {
    "text_not_unicode": "bodies that are not UTF-8, or hold half a surrogate pair, are refused before it is read",
    "condition_unknown": "fusion and knowledge are checked against each other at start",
    "finding_unknown": "findings are read with the very lexicon that names them",
    "red_flag_unknown": "no route asks for a red flag by its id",
    "lease_lost": "only the learner holds runs",
    "cancel_requested": "the learner is told so, whoever cancels is told that it is cancelled",
    "feedback_gone": "only the learner chooses feedback",
    "audio_not_finite": "app.media refuses such a file as audio_damaged or video_damaged",
    "video_frame_rate": "app.media gives every film a rate",
    "image_aspect_ratio": "app.media's limit is lower: image_shape_unsupported",
    "image_too_long": "no image has a length",
    "audio_too_many_pixels": "no sound has pixels, and cover art is not decoded",
    "audio_shape_unsupported": "no sound has sides",
}
"""What a part below refuses for callers who are not HTTP's, or what is worded for three kinds and fits two."""


def sent_codes() -> dict[str, int]:
    """Code -> status, of every code that has a message; `http_error`, which has HTTP's own status, is 0."""
    found = {"http_error": 0}
    for code, status in _statuses():
        assert found.setdefault(code, status) == status, f"{code} is sent as {found[code]} and as {status}"
    return {code: found[code] for code in PROBLEMS if code not in NEVER_SENT}


def _statuses() -> Iterator[tuple[str, int]]:
    files = [path for folder in SENDERS for path in sorted((APP / folder).rglob("*.py"))]
    for path in [*files, APP / "server.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from _raised(node)
                yield from _answered(node)
    invalid = ValidationFailedError([])
    yield invalid.code, status_of(invalid)
    for code in (failures.FULL, failures.LOCKED, failures.UNAVAILABLE):
        yield code, STATUS[app.errors.StorageError]
    yield from _of_media()


def _raised(call: ast.Call) -> Iterator[tuple[str, int]]:
    """`NotFoundError("analysis_not_found")`; an ArtifactError is sent as internal_error."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "invalid":
        yield from ((f"{kind}_{suffix}", 422) for kind in KINDS for suffix in _strings(call.args[0]))
    kind = ERRORS.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if kind is not None and not issubclass(kind, ArtifactError):
        yield from ((code, status_of(kind(code))) for code in _strings(call.args[0]))


def _answered(call: ast.Call) -> Iterator[tuple[str, int]]:
    """`problem_response(context, 405, "method_not_allowed")` and the server's `_refuse(400, "http_malformed", {})`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in {"problem_response", "_refuse"}:
        return
    status, code = call.args[1:3] if name == "problem_response" else call.args[:2]
    if isinstance(code, ast.Constant):
        yield str(code.value), int(status.value) if isinstance(status, ast.Constant) else 500
    if isinstance(code, ast.Name):  # `"route_not_found" if status == 404 else "http_error"`
        yield "route_not_found", 404


def _of_media() -> Iterator[tuple[str, int]]:
    for kind in KINDS:
        subject = Subject(kind, kind)
        made = [subject.empty(), subject.damaged("x"), subject.unsupported("x"), subject.too_complex("x")]
        made += [subject.too_large(1), subject.too_long(1), subject.too_many_pixels(1)]
        yield from ((error.code, status_of(error)) for error in made)


def _strings(expression: ast.expr) -> list[str]:
    """Plain strings, on their own or as the arms of a condition."""
    if isinstance(expression, ast.IfExp):
        return [*_strings(expression.body), *_strings(expression.orelse)]
    return [expression.value] if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else []
