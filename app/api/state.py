"""What the lifespan leaves for the routes, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypedDict, cast

from fastapi import Depends
from starlette.requests import Request

from app.api.auth import Identity, KeyRing
from app.api.body import BodyBudget, BodyLimits
from app.api.case_reader import InputLimits
from app.api.metrics import Metrics
from app.memory_plan import MemoryPlan
from app.services.analysis import AnalysisService
from app.services.feedback import FeedbackService
from app.services.host import ComponentHost
from app.services.inference import InferenceQueue
from app.services.learning import LearningService
from app.services.pools import WorkerPool


@dataclass(frozen=True, slots=True)
class ApiState:
    """One per application run."""

    host: ComponentHost
    queue: InferenceQueue
    readers: WorkerPool
    storage: WorkerPool
    analysis: AnalysisService
    feedback: FeedbackService
    learning: LearningService
    metrics: Metrics
    keys: KeyRing
    body_limits: BodyLimits
    body_budget: BodyBudget
    input_limits: InputLimits
    memory: MemoryPlan | None
    """None where nothing was planned: components that are no real ones."""


class LifespanState(TypedDict):
    """`request.state`."""

    api: ApiState


def _state(request: Request) -> ApiState:
    return cast(ApiState, request.state.api)


State = Annotated[ApiState, Depends(_state)]


def _caller(request: Request, state: State) -> str | None:
    return state.keys.identify(request).caller


def _identity(request: Request, state: State) -> Identity:
    return state.keys.identify(request)


def _admin(request: Request, state: State) -> Identity:
    return state.keys.require_admin(request)


Caller = Annotated[str | None, Depends(_caller)]
"""Refuses a request without a valid key, where keys are set; else says who calls."""
Who = Annotated[Identity, Depends(_identity)]
"""The same, and whether it is an admin."""
Admin = Annotated[Identity, Depends(_admin)]
"""Refuses everyone but admins."""
