"""`create_app`: the application and its lifespan, wired from settings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.api.auth import KeyRing
from app.api.body import BODIES_IN_MEMORY, BodyBudget, BodyLimits
from app.api.case_reader import InputLimits
from app.api.metrics import Metrics
from app.api.middleware import BrowserGuard, ContextMiddleware, HeadMiddleware
from app.api.openapi import install_openapi
from app.api.problems import install_handlers
from app.api.routes import analyze, feedback, health, learning, versions
from app.api.routes.docs import install_docs
from app.api.state import ApiState, LifespanState
from app.errors import ArtifactError
from app.memory_plan import MemoryPlan
from app.services.analysis import AnalysisPolicy, AnalysisService
from app.services.feedback import FeedbackService
from app.services.host import ComponentHost, Components, Progress
from app.services.inference import InferenceQueue
from app.services.learning import LearningPolicy, LearningService
from app.services.pools import WorkerPool
from app.services.version_watch import VersionWatcher
from app.settings import Settings, is_loopback
from app.wiring import build_components, media_limits

Build = Callable[[Settings, Progress], Components]
OnRefused = Callable[[ArtifactError], None]

_STORAGE_BACKLOG = 64
_LEARNING_BACKLOG = 16
_DESCRIPTION = (
    "A patient case in (text in Korean or English, images, audio, video, vital signs), a ranked and calibrated "
    "differential, risk and triage out. Decision support only. Every error is an RFC 9457 problem with a stable "
    "`code`, worded in the language of the request."
)


@dataclass(frozen=True, slots=True)
class _Workers:
    """Every thread that works for a request."""

    queue: InferenceQueue
    readers: WorkerPool
    storage: WorkerPool
    learning: WorkerPool
    """Apart from `storage`: hashing a version's files must not keep a case's answer waiting."""

    def close(self) -> None:
        self.queue.close()
        self.readers.close()
        self.storage.close()
        self.learning.close()


@dataclass(frozen=True, slots=True)
class _Run:
    """What the lifespan needs besides the application."""

    settings: Settings
    metrics: Metrics
    build: Build
    stopping: threading.Event
    memory: MemoryPlan | None
    on_refused: OnRefused | None


def create_app(
    settings: Settings,
    *,
    build: Build = build_components,
    stopping: threading.Event | None = None,
    memory: MemoryPlan | None = None,
    on_refused: OnRefused | None = None,
) -> FastAPI:
    """`build` makes the components on a background thread; `stopping` is set when no new case may be taken. `memory` is
    what /health tells of the plan. `on_refused`: see `ComponentHost`; None: the process stays and says why."""
    metrics = Metrics()
    run = _Run(settings, metrics, build, stopping or threading.Event(), memory, on_refused)
    app = FastAPI(
        title="MedModal Fusion",
        version=__version__,
        description=_DESCRIPTION,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        middleware=_middleware(settings, metrics),
        lifespan=partial(_lifespan, run),
    )
    install_handlers(app)
    routers = (health.router, analyze.router, feedback.router, learning.router, versions.router)
    for router in routers:
        app.include_router(router)
    install_docs(app)
    install_openapi(app, routers)
    return app


def _key_ring(settings: Settings) -> KeyRing:
    keys, admin_keys = ([key.get_secret_value() for key in kind] for kind in (settings.api_keys, settings.admin_keys))
    return KeyRing(keys, admin_keys, is_local=_is_local(settings))


def _is_local(settings: Settings) -> bool:
    """Whether nothing but this machine can call."""
    return is_loopback(settings.host) and not settings.allow_unauthenticated_network


def _learning_policy(settings: Settings) -> LearningPolicy:
    return LearningPolicy(settings.lora_enabled, settings.learning_min_feedback, settings.run_settings)


def _middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """Outermost first."""
    chain = [Middleware(ContextMiddleware, metrics=metrics)]
    if not settings.api_keys:  # a stranger's page has no key to send
        chain.append(Middleware(BrowserGuard, local_only=_is_local(settings), origins=settings.cors_origins))
    chain.append(Middleware(HeadMiddleware))
    if settings.cors_origins:
        chain.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-ID"],
                expose_headers=["Retry-After", "X-Request-ID", "Idempotency-Replayed"],
            )
        )
    return chain


@asynccontextmanager
async def _lifespan(run: _Run, _app: FastAPI) -> AsyncIterator[LifespanState]:
    settings, build = run.settings, partial(run.build, run.settings)
    host = ComponentHost(build, run.stopping, run.on_refused) if run.on_refused else ComponentHost(build, run.stopping)
    workers = _Workers(
        queue=InferenceQueue(waiting=settings.queue_size, media_threads=settings.media_threads),
        readers=WorkerPool("reader", threads=1, backlog=settings.queue_size),
        storage=WorkerPool("storage", threads=1, backlog=_STORAGE_BACKLOG),
        learning=WorkerPool("learning", threads=1, backlog=_LEARNING_BACKLOG),
    )
    watcher = VersionWatcher(host, run.metrics)
    run.metrics.watch(
        queue_depth=lambda: workers.queue.depth,
        ready=lambda: host.status().state == "ready",
        refused=lambda: host.refused is not None,
    )
    host.start()
    watcher.start()
    try:
        yield {"api": _api_state(run, host, workers)}
    finally:
        run.stopping.set()
        await asyncio.to_thread(watcher.close)
        await asyncio.to_thread(workers.close)
        await asyncio.to_thread(host.close)


def _api_state(run: _Run, host: ComponentHost, workers: _Workers) -> ApiState:
    settings, metrics = run.settings, run.metrics
    policy = AnalysisPolicy(settings.request_timeout_s, settings.store_text, settings.profile)
    return ApiState(
        host=host,
        queue=workers.queue,
        readers=workers.readers,
        storage=workers.storage,
        analysis=AnalysisService(host, workers.queue, workers.storage, metrics, policy),
        feedback=FeedbackService(host, workers.storage, metrics, store_text=settings.store_text),
        learning=LearningService(host, workers.learning, _learning_policy(settings)),
        metrics=metrics,
        keys=_key_ring(settings),
        body_limits=BodyLimits(settings.max_body_bytes, settings.body_timeout_s),
        body_budget=BodyBudget(BODIES_IN_MEMORY * settings.max_body_bytes),
        input_limits=InputLimits(settings.max_text_chars, media_limits(settings)),
        memory=run.memory,
    )
