"""GET /api/v1/versions, POST /api/v1/versions/{version}/activate."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.body import JSON_TYPES, BodyLimits, parse_json, read_body, require_content_type
from app.api.ids import VersionId
from app.api.learning_answers import VersionsAnswer
from app.api.learning_openapi import ACTIVATE_RESPONSES, VERSIONS_RESPONSES, activate_body, without_body
from app.api.schemas import ActivateRequest
from app.api.state import Admin, ApiState, State, Who
from app.api.validation import validate

MAX_ACTIVATE_BYTES = 4096

router = APIRouter(prefix="/api/v1/versions", tags=["learning"])


@router.get(
    "",
    summary="Every version, and which one serves",
    response_model=VersionsAnswer,
    responses=VERSIONS_RESPONSES,
    openapi_extra=without_body(),
)
async def versions(state: State, who: Who) -> Response:
    """Newest first; the last one is the version that the service came with."""
    answer = VersionsAnswer.of(await state.learning.versions(), is_admin=who.is_admin)
    return _json(answer)


@router.post(
    "/{version}/activate",
    summary="Put a version into service",
    response_model=VersionsAnswer,
    responses=ACTIVATE_RESPONSES,
    openapi_extra=activate_body(),
)
async def activate(request: Request, state: State, who: Admin, version: VersionId) -> Response:
    """A newer one or, to roll back, an older one: it answers within seconds, and no case under way is interrupted.

    The body may be left out. Admins only.
    """
    state.learning.admit()
    asked = await _read(request, state)
    status = await state.learning.activate(version, by=who.caller, expected=asked.expected)
    return _json(VersionsAnswer.of(status, is_admin=True))


async def _read(request: Request, state: ApiState) -> ActivateRequest:
    limits = BodyLimits(MAX_ACTIVATE_BYTES, state.body_limits.timeout_s)
    with state.body_budget.lease() as lease:
        body = await read_body(request, limits, lease)
    if not body:
        return ActivateRequest()
    require_content_type(request, JSON_TYPES)
    return validate(ActivateRequest, parse_json(body))


def _json(answer: VersionsAnswer) -> Response:
    return Response(answer.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")
