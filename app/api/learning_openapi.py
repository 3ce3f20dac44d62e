"""What the OpenAPI document says of the learning loop's routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api import learning_examples as examples
from app.api.body import JSON_TYPES
from app.api.ids import id_parameter
from app.api.openapi import SECURITY, Responses, errors, json_body
from app.api.schemas import ActivateRequest

_READ_ERRORS: tuple[tuple[int, str], ...] = (
    (401, "api_key_missing"),
    (421, "host_not_allowed"),
    (429, "server_busy"),
    (500, "internal_error"),
    (503, "models_loading"),
    (507, "storage_unavailable"),
)
_ADMIN = (403, "admin_key_required")
_NO_RUN = (404, "run_not_found")


def _answers(status: int, example: Mapping[str, Any], *found: tuple[int, str]) -> Responses:
    return {status: {"content": {JSON_TYPES: {"example": dict(example)}}}, **errors([*_READ_ERRORS, *found])}


LEARNING_RESPONSES = _answers(200, examples.LEARNING)
START_RESPONSES = _answers(202, examples.QUEUED_RUN, _ADMIN, (409, "nothing_to_learn"))
START_RESPONSES[202]["headers"] = {"Location": {"description": "Of the run", "schema": {"type": "string"}}}
RUN_RESPONSES = _answers(200, examples.RUN, _NO_RUN)
CANCEL_RESPONSES = _answers(200, examples.CANCELLING_RUN, _ADMIN, _NO_RUN, (409, "run_finished"))
CHANGE_RECORD_RESPONSES = _answers(200, examples.CHANGE_RECORD, _ADMIN, (404, "change_record_not_found"))
CHANGE_RECORD_RESPONSES[200]["content"]["text/markdown"] = {
    "schema": {"type": "string"},
    "example": examples.CHANGE_RECORD_MARKDOWN,
}
FEEDBACK_PROGRESS_RESPONSES = _answers(200, examples.FEEDBACK_PROGRESS, (404, "feedback_not_found"))
VERSIONS_RESPONSES = _answers(200, examples.VERSIONS)
ACTIVATE_RESPONSES = _answers(
    200,
    examples.VERSIONS,
    (400, "json_invalid"),
    _ADMIN,
    (404, "version_not_found"),
    (408, "body_timeout"),
    (409, "version_changed"),
    (413, "body_too_large"),
    (415, "content_type_unsupported"),
    (422, "validation_failed"),
)


def without_body() -> dict[str, Any]:
    return {"security": SECURITY}


def for_run() -> dict[str, Any]:
    return {"parameters": [id_parameter("run_id", "From the list of runs", examples.RUN_ID)], "security": SECURITY}


def for_feedback() -> dict[str, Any]:
    example = examples.FEEDBACK_PROGRESS["feedback_id"]
    return {"parameters": [id_parameter("feedback_id", "From the feedback's answer", example)], "security": SECURITY}


def activate_body() -> dict[str, Any]:
    body = json_body(ActivateRequest, examples.ACTIVATE_REQUESTS)
    body["requestBody"]["required"] = False
    return {**body, "parameters": [id_parameter("version", "From the list of versions", examples.CANDIDATE)]}
