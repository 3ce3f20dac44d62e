"""GET and POST below /api/v1/learning: where the learning loop stands, its runs, and their change records."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.accept import prefers_markdown
from app.api.context import context_of
from app.api.ids import RunId
from app.api.learning_answers import ChangeRecordAnswer, LearningAnswer, LearningRunAnswer
from app.api.learning_openapi import (
    CANCEL_RESPONSES,
    CHANGE_RECORD_RESPONSES,
    LEARNING_RESPONSES,
    RUN_RESPONSES,
    START_RESPONSES,
    for_run,
    without_body,
)
from app.api.state import Admin, State, Who
from app.services.change_record import render_markdown

MARKDOWN = "text/markdown; charset=utf-8"
_NO_STORE = {"Cache-Control": "no-store"}

router = APIRouter(prefix="/api/v1/learning", tags=["learning"])


@router.get(
    "",
    summary="Where the learning loop stands",
    response_model=LearningAnswer,
    responses=LEARNING_RESPONSES,
    openapi_extra=without_body(),
)
async def learning(state: State, who: Who) -> Response:
    """How much feedback waits, the run under way, the version that serves, and the last runs."""
    answer = LearningAnswer.of(await state.learning.status(), is_admin=who.is_admin)
    return _json(answer.model_dump_json())


@router.post(
    "/runs",
    summary="Start a learning run",
    status_code=202,
    response_model=LearningRunAnswer,
    responses=START_RESPONSES,
    openapi_extra=without_body(),
)
async def start_run(state: State, who: Admin) -> Response:
    """Queued for the learner, however little feedback waits. Admins only."""
    run = await state.learning.start_run(who.caller)
    location = {"Location": f"{router.prefix}/runs/{run.run_id}"}
    return _json(LearningRunAnswer.of(run, is_admin=True).model_dump_json(), 202, location)


@router.get(
    "/runs/{run_id}",
    summary="How a run is",
    response_model=LearningRunAnswer,
    responses=RUN_RESPONSES,
    openapi_extra=for_run(),
)
async def run(state: State, who: Who, run_id: RunId) -> Response:
    """Its state and progress; once it has ended, what came of it."""
    found = await state.learning.run(run_id)
    return _json(LearningRunAnswer.of(found, is_admin=who.is_admin).model_dump_json())


@router.post(
    "/runs/{run_id}/cancel",
    summary="Cancel a run",
    response_model=LearningRunAnswer,
    responses=CANCEL_RESPONSES,
    openapi_extra=for_run(),
)
async def cancel(state: State, who: Admin, run_id: RunId) -> Response:
    """A queued run is cancelled at once, one under way within seconds. Admins only."""
    cancelled = await state.learning.cancel(run_id, who.caller)
    return _json(LearningRunAnswer.of(cancelled, is_admin=True).model_dump_json())


@router.get(
    "/runs/{run_id}/change-record",
    summary="What a run changed, how, and with what effect",
    response_model=ChangeRecordAnswer,
    responses=CHANGE_RECORD_RESPONSES,
    openapi_extra=for_run(),
)
async def change_record(request: Request, state: State, _who: Admin, run_id: RunId) -> Response:
    """JSON, or Markdown in `Accept-Language`'s language where `Accept` prefers text/markdown. Admins only."""
    record = await state.learning.change_record(run_id)
    if not prefers_markdown(request.headers.get("accept", "")):
        return _json(ChangeRecordAnswer.of(record).model_dump_json(), headers={"Vary": "Accept"})
    language = context_of(request).language
    text = render_markdown(record.report, language, record.activations)
    headers = {**_NO_STORE, "Content-Language": language, "Vary": "Accept, Accept-Language"}
    return Response(text, headers=headers, media_type=MARKDOWN)


def _json(content: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, {**_NO_STORE, **(headers or {})}, media_type="application/json")
