"""GET / , /health, /health/live, /health/ready and /metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from app import __version__
from app.api.answers import AliveAnswer, HealthAnswer, LoadAnswer, MemoryAnswer, RootAnswer
from app.api.openapi import NOT_READY
from app.api.schemas import StorageHealth
from app.api.state import ApiState, State
from app.errors import AppError, NotReadyError
from app.memory import memory_usage
from app.services.host import LoadStatus

PING_TIMEOUT_S = 2.0

router = APIRouter(tags=["service"])


@router.get("/", summary="What this is", response_model=RootAnswer)
async def root() -> RootAnswer:
    """Name, version and where to go from here."""
    return RootAnswer(name="MedModal Fusion", version=__version__, docs="/docs", health="/health/ready")


@router.get("/health/live", summary="Is the process alive?", response_model=AliveAnswer)
async def live() -> AliveAnswer:
    """200 as long as the process answers at all."""
    return AliveAnswer(status="alive")


@router.get("/health/ready", summary="Can it take cases?", response_model=LoadAnswer, responses=NOT_READY)
async def ready(state: State) -> Response:
    """200 once the models are warm; 503 with the progress until then, and while the process stops."""
    status = state.host.status()
    answer = _load_answer(state, status)
    headers = {"Cache-Control": "no-store"}
    if status.state == "loading":
        headers["Retry-After"] = "2"
    return JSONResponse(answer.model_dump(), 200 if status.state == "ready" else 503, headers)


@router.get("/health", summary="The whole picture", response_model=HealthAnswer)
async def health(state: State) -> Response:
    """Always 200 while the process answers; `status` and `storage` say how it is."""
    status = state.host.status()
    answer = HealthAnswer(
        status=status.state,
        version=__version__,
        load=_load_answer(state, status),
        storage=await _storage_health(state),
        queue_depth=state.queue.depth,
    )
    return JSONResponse(answer.model_dump(), headers={"Cache-Control": "no-store"})


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(state: State) -> Response:
    """Counts and latencies; no label holds anything that a caller wrote."""
    if state.host.status().state == "ready":
        components = state.host.get()
        state.metrics.describe({**components.versions, "fusion": components.fusion.version})
    return Response(state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def _load_answer(state: ApiState, status: LoadStatus) -> LoadAnswer:
    usage = memory_usage() if status.state == "ready" else None
    return LoadAnswer(
        status=status.state,
        step=status.step,
        done=status.done,
        total=status.total,
        seconds=round(status.seconds, 1),
        reason=status.reason,
        share=None if status.share is None else round(status.share, 2),
        memory=None if state.memory is None else MemoryAnswer.of(state.memory, usage),
    )


async def _storage_health(state: ApiState) -> StorageHealth:
    try:
        analyses = state.host.get().analyses
        await asyncio.wait_for(state.storage.run(analyses.ping), PING_TIMEOUT_S)
    except NotReadyError:
        return "unknown"
    except (AppError, TimeoutError):
        return "failing"
    return "ok"
