"""POST /api/v1/feedback, GET /api/v1/feedback/{feedback_id}."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import examples
from app.api.answers import FeedbackAnswer, feedback_message
from app.api.body import JSON_TYPES, BodyLimits, parse_json, read_body, require_content_type
from app.api.context import context_of
from app.api.ids import FeedbackId
from app.api.learning_answers import FeedbackProgressAnswer
from app.api.learning_openapi import FEEDBACK_PROGRESS_RESPONSES, for_feedback
from app.api.openapi import FEEDBACK_RESPONSES, IDEMPOTENCY_HEADER, json_body
from app.api.schemas import FeedbackRequest
from app.api.state import Caller, State, Who
from app.api.validation import validate
from app.errors import InvalidInputError

MAX_FEEDBACK_BYTES = 262_144
_SANE_KEY = re.compile(r"[\x21-\x7e]{1,128}")

router = APIRouter(prefix="/api/v1", tags=["feedback"])


@router.post(
    "/feedback",
    summary="Say whether an answer was right",
    status_code=201,
    response_model=FeedbackAnswer,
    responses=FEEDBACK_RESPONSES,
    openapi_extra={**json_body(FeedbackRequest, examples.FEEDBACK_REQUESTS), "parameters": [IDEMPOTENCY_HEADER]},
)
async def feedback(request: Request, state: State, caller: Caller) -> Response:
    """Stored before it is answered. Send an `Idempotency-Key` and repeat the request safely after a lost answer."""
    require_content_type(request, JSON_TYPES)
    state.feedback.admit()
    key = _idempotency_key(request)
    limits = BodyLimits(MAX_FEEDBACK_BYTES, state.body_limits.timeout_s)
    with state.body_budget.lease() as lease:
        value = parse_json(await read_body(request, limits, lease))
    context = context_of(request)
    verdict = validate(FeedbackRequest, value).to_domain()
    receipt = await state.feedback.add(verdict, idempotency_key=key, caller=caller)
    answer = FeedbackAnswer(feedback_id=receipt.stored.feedback_id, message=feedback_message(receipt, context.language))
    headers = {"Content-Language": context.language, "Cache-Control": "no-store"}
    if receipt.stored.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.model_dump_json(), 201, headers, media_type="application/json")


@router.get(
    "/feedback/{feedback_id}",
    summary="What became of a feedback",
    response_model=FeedbackProgressAnswer,
    responses=FEEDBACK_PROGRESS_RESPONSES,
    openapi_extra=for_feedback(),
)
async def feedback_progress(request: Request, state: State, who: Who, feedback_id: FeedbackId) -> Response:
    """Waiting, unusable, in training, promoted in a version, or rejected, and why. One's own, or an admin's to see."""
    progress = await state.learning.feedback(feedback_id, who.caller, is_admin=who.is_admin)
    language = context_of(request).language
    content = FeedbackProgressAnswer.of(progress, language).model_dump_json()
    headers = {"Content-Language": language, "Cache-Control": "no-store"}
    return Response(content, headers=headers, media_type="application/json")


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _SANE_KEY.fullmatch(key):
        raise InvalidInputError("idempotency_key_invalid")
    return key
