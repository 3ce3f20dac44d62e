"""Completes the OpenAPI document: bodies that the routes read by hand, and every error that they can answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.body import JSON_TYPES, MULTIPART_TYPES
from app.api.examples import ANALYZE_ANSWER, FEEDBACK_ANSWER
from app.api.messages.catalogue import problem_detail, problem_title
from app.api.problems import MEDIA_TYPE, TYPE_PREFIX
from app.api.schemas import MAX_IMAGES, ActivateRequest, AnalyzeRequest, FeedbackRequest, PatientRequest, Problem

Responses = dict[int | str, dict[str, Any]]

_REF = "#/components/schemas/{model}"
_SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Only where the server has API_KEYS"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"api_key": []}]

_SHARED_ERRORS: tuple[tuple[int, str], ...] = (
    (400, "json_invalid"),
    (401, "api_key_missing"),
    (403, "origin_not_allowed"),
    (408, "body_timeout"),
    (413, "body_too_large"),
    (415, "content_type_unsupported"),
    (421, "host_not_allowed"),
    (422, "validation_failed"),
    (429, "server_busy"),
    (500, "internal_error"),
    (503, "models_loading"),
)
_EXAMPLE_PARAMS: Mapping[str, str | int | float] = {
    "seconds": 30.0,
    "limit": 67_108_864,
    "expected": JSON_TYPES,
    "retry_after_s": 2,
}


def errors(found: Iterable[tuple[int, str]]) -> Responses:
    """Status -> problem, with the code that is its example in both languages."""
    return {status: _problem(status, code) for status, code in sorted(found)}


def _problem(status: int, code: str) -> dict[str, Any]:
    examples = {
        language: {
            "summary": f"{code} ({language})",
            "value": {
                "type": TYPE_PREFIX + code,
                "title": problem_title(status, language),
                "status": status,
                "detail": problem_detail(code, language, _EXAMPLE_PARAMS),
                "code": code,
                "request_id": "3f0c8a52b2a54b0e9d2b4f4f5f1b7d11",
            },
        }
        for language in ("en", "ko")
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}, "examples": examples}}
    response: dict[str, Any] = {"description": problem_title(status, "en"), "content": content}
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return response


ANALYZE_RESPONSES: Responses = {
    200: {"content": {JSON_TYPES: {"example": ANALYZE_ANSWER}}},
    **errors([*_SHARED_ERRORS, (504, "deadline_exceeded")]),
}
FEEDBACK_RESPONSES: Responses = {
    201: {"content": {JSON_TYPES: {"example": FEEDBACK_ANSWER}}},
    **errors(
        [*_SHARED_ERRORS, (404, "analysis_not_found"), (409, "idempotency_key_reused"), (507, "storage_unavailable")]
    ),
}
NOT_READY: Responses = {
    503: {
        "description": "Not ready: loading, failed or stopping",
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="LoadAnswer")}}},
    }
}
IDEMPOTENCY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: the same key and body are stored once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}

EXPLAIN_PARAMETER: dict[str, Any] = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "Whether to draw saliency maps of the images; wins over the body's `explain`.",
    "schema": {"type": "boolean"},
}


def json_body(model: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads `model` as JSON."""
    content = {JSON_TYPES: {"schema": {"$ref": _REF.format(model=model.__name__)}, "examples": dict(examples)}}
    return {"requestBody": {"required": True, "content": content}, "security": SECURITY}


def upload_body() -> dict[str, Any]:
    """`openapi_extra` of the multipart route."""
    file = {"type": "string", "format": "binary"}
    properties = {
        "text": {"type": "string", "description": "The case in Korean or English"},
        "image": {"type": "array", "items": file, "maxItems": MAX_IMAGES},
        "audio": file,
        "video": file,
        "language": {"type": "string", "enum": ["en", "ko"]},
        "explain": {"type": "boolean", "description": "Whether to draw saliency maps of the images"},
        "patient": {"$ref": _REF.format(model="PatientRequest")},
    }
    content = {
        MULTIPART_TYPES: {
            "schema": {"type": "object", "properties": properties, "additionalProperties": False},
            "encoding": {"patient": {"contentType": JSON_TYPES}},
        }
    }
    return {"requestBody": {"required": True, "content": content}, "security": SECURITY}


def install_openapi(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Complete the document of an application that includes `routers`, once, when it is first asked for."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _restore_examples(document, routers)
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(_schemas())
            components["securitySchemes"] = _SECURITY_SCHEMES
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _restore_examples(document: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """The generator leaves null out wherever it stands, in examples too, where it means something."""
    for route in (route for router in routers for route in router.routes if isinstance(route, APIRoute)):
        for method in route.methods or ():
            answers = document["paths"][route.path_format][method.lower()]["responses"]
            for status, response in route.responses.items():
                for media_type, content in response.get("content", {}).items():
                    if "example" in content:
                        answers[str(status)]["content"][media_type]["example"] = content["example"]


def _schemas() -> dict[str, Any]:
    models = (ActivateRequest, AnalyzeRequest, FeedbackRequest, PatientRequest, Problem)
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    found: dict[str, Any] = definitions["$defs"]
    return found
