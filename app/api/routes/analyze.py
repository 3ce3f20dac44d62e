"""POST /api/v1/analyze and /api/v1/analyze_upload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import examples
from app.api.answers import AnalyzeAnswer
from app.api.body import JSON_TYPES, MULTIPART_TYPES, BodyLease, read_body, require_content_type
from app.api.case_reader import CaseReading, explain_in_query, read_json_case, read_multipart_case
from app.api.context import context_of
from app.api.disconnect import while_connected
from app.api.openapi import ANALYZE_RESPONSES, EXPLAIN_PARAMETER, json_body, upload_body
from app.api.schemas import AnalyzeRequest
from app.api.state import ApiState, Caller, State
from app.domain import CaseRequest

INLINE_BYTES = 65_536
"""A smaller body is parsed on the spot; a larger one on a thread."""

router = APIRouter(prefix="/api/v1", tags=["analysis"])


@router.post(
    "/analyze",
    summary="Analyse one case",
    response_model=AnalyzeAnswer,
    responses=ANALYZE_RESPONSES,
    openapi_extra={**json_body(AnalyzeRequest, examples.ANALYZE_REQUESTS), "parameters": [EXPLAIN_PARAMETER]},
)
async def analyze(request: Request, state: State, _caller: Caller) -> Response:
    """A case as JSON, media as base64 or `data:` URI; the answer names conditions in the caller's language."""
    require_content_type(request, JSON_TYPES)
    return await _answer(request, state, partial(read_json_case, limits=state.input_limits))


@router.post(
    "/analyze_upload",
    summary="Analyse one case, media as files",
    response_model=AnalyzeAnswer,
    responses=ANALYZE_RESPONSES,
    openapi_extra={**upload_body(), "parameters": [EXPLAIN_PARAMETER]},
)
async def analyze_upload(request: Request, state: State, _caller: Caller) -> Response:
    """The same as multipart/form-data: `image` up to four times, `patient` as a JSON part."""
    require_content_type(request, MULTIPART_TYPES)
    content_type = request.headers["content-type"]
    return await _answer(request, state, partial(_read_upload, content_type, state))


def _read_upload(content_type: str, state: ApiState, body: bytes) -> CaseReading:
    return read_multipart_case(content_type, body, state.input_limits)


async def _answer(request: Request, state: ApiState, read: Callable[[bytes], CaseReading]) -> Response:
    state.analysis.admit()
    with state.body_budget.lease() as lease:
        case = await _read_case(request, state, read, lease)
        analysis = await while_connected(request, state.analysis.analyze(case))
    content = AnalyzeAnswer.of(analysis).model_dump_json()
    headers = {"Content-Language": analysis.language, "Cache-Control": "no-store"}
    return Response(content, media_type="application/json", headers=headers)


async def _read_case(
    request: Request, state: ApiState, read: Callable[[bytes], CaseReading], lease: BodyLease
) -> CaseRequest:
    """The body is let go of here: a case holds its files decoded from base64. The query's `explain` wins."""
    body = await read_body(request, state.body_limits, lease)
    reading = read(body) if len(body) <= INLINE_BYTES else await state.readers.run(partial(read, body))
    context = context_of(request)
    context.language = reading.language or context.language
    case = reading.require()
    asked = explain_in_query(request.query_params.getlist("explain"))
    return replace(case, language=context.language, explain=case.explain if asked is None else asked)
