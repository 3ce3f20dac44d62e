"""Health, metrics, the root and the methods that nobody declares."""

from __future__ import annotations

import threading

import pytest

from app.errors import ArtifactError
from app.memory_plan import CutLayers, Limit, MemoryPlan, Part
from app.services.host import Components, Progress
from app.settings import Settings
from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, asgi_client, until_ready
from tests.services.fakes import FakeStorage, components


async def test_alive_at_once_and_ready_once_the_models_are_warm() -> None:
    go = threading.Event()

    def build(_settings: Settings, progress: Progress) -> Components:
        progress("omni")
        go.wait(5)
        return components()

    async with asgi_client(None, build=build, wait=False) as client:
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        while (waiting := await client.get("/health/ready")).json()["step"] != "omni":
            assert waiting.status_code == 503
        assert waiting.status_code == 503
        assert waiting.headers["retry-after"] == "2"
        assert (waiting.json()["status"], waiting.json()["done"], waiting.json()["total"]) == ("loading", 4, 7)
        refused = await client.post(ANALYZE, json={"text": ENGLISH})
        assert (refused.status_code, refused.json()["code"]) == (503, "models_loading")
        assert refused.headers["retry-after"] == "2"
        unsaved = await client.post(FEEDBACK, json={"query": "q", "prediction": "p", "is_correct": True})
        assert unsaved.status_code == 503
        overview = await client.get("/health")
        assert (overview.status_code, overview.json()["status"], overview.json()["storage"]) == (
            200,
            "loading",
            "unknown",
        )
        go.set()
        await until_ready(client)
        assert (await client.post(ANALYZE, json={"text": ENGLISH})).status_code == 200


async def test_a_failed_load_stays_not_ready_and_says_why() -> None:
    def build(_settings: Settings, progress: Progress) -> Components:
        progress("medical")
        raise ArtifactError("model_file_damaged", folder="/models/x", file="decoder.onnx")

    async with asgi_client(None, build=build, wait=False) as client:
        while (answer := await client.get("/health/ready")).json()["status"] == "loading":
            pass
        assert answer.status_code == 503
        assert (answer.json()["status"], answer.json()["step"], answer.json()["reason"]) == (
            "failed", "medical", "model_file_damaged",
        )  # fmt: skip
        refused = await client.post(ANALYZE, json={"text": ENGLISH})
        assert (refused.status_code, refused.json()["code"]) == (503, "models_failed")
        assert "/models/x" not in refused.text + answer.text


def plan() -> MemoryPlan:
    parts = (Part("process", 300, "anonymous"), Part("libraries", 40, "file_backed"), Part("activations", 5, "working"))
    limits = (Limit("container", 500), Limit("MAX_MEMORY", 600))
    return MemoryPlan(limits, CutLayers(8, 11), CutLayers(28, 32), parts, None)


async def test_the_memory_plan_is_told_from_the_start_and_what_is_taken_once_ready() -> None:
    go = threading.Event()

    def build(_settings: Settings, _progress: Progress) -> Components:
        go.wait(5)
        return components()

    async with asgi_client(None, build=build, wait=False, memory=plan()) as client:
        waiting = (await client.get("/health/ready")).json()["memory"]
        assert waiting == {
            "limit": 500,
            "limited_by": "container",
            "needed": 340,
            "total": 345,
            "parts": [
                {"name": "process", "bytes": 300, "kind": "anonymous"},
                {"name": "libraries", "bytes": 40, "kind": "file_backed"},
                {"name": "activations", "bytes": 5, "kind": "working"},
            ],
            "cut_layers": {"omni": 8, "medical": 11},
            "measured": None,
        }
        go.set()
        await until_ready(client)
        ready = (await client.get("/health/ready")).json()["memory"]
        assert {**ready, "measured": None} == waiting
        assert min(ready["measured"][kind] for kind in ("anonymous", "file_backed")) > 1_000_000
        assert (await client.get("/health")).json()["load"]["memory"]["total"] == 345


async def test_stopping_is_not_ready_and_takes_no_case() -> None:
    stopping = threading.Event()
    async with asgi_client(components(), stopping=stopping) as client:
        stopping.set()
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
        refused = await client.post(ANALYZE, json={"text": ENGLISH})
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize(("failing", "expected"), [(False, "ok"), (True, "failing")])
async def test_health_looks_at_the_database(failing: bool, expected: str) -> None:
    async with asgi_client(components(storage=FakeStorage(failing=failing))) as client:
        answer = (await client.get("/health")).json()
    assert answer["storage"] == expected
    assert answer["status"] == "ready", "analyses are answered without a database too"


async def test_metrics_count_what_happened() -> None:
    async with asgi_client(components()) as client:
        await client.post(ANALYZE, json={"text": ENGLISH, "patient": {"vitals": {"spo2": 90}}})
        await client.post(ANALYZE, json={"text": ""})
        await client.post(FEEDBACK, json={"query": "q", "prediction": "p", "is_correct": True})
        await client.request("BREW", "/nothing/here")
        text = (await client.get("/metrics")).text
    for line in (
        'medmodal_analyses_total{language="en",modalities="text+vitals",status="ok"} 1.0',
        'medmodal_feedback_total{verdict="correct"} 1.0',
        'medmodal_problems_total{code="case_empty"} 1.0',
        'medmodal_http_requests_total{method="POST",route="/api/v1/analyze",status="422"} 1.0',
        'medmodal_http_requests_total{method="other",route="unmatched",status="404"} 1.0',
        'medmodal_stage_seconds_count{stage="omni"} 1.0',
        "medmodal_queue_depth 0.0",
        "medmodal_ready 1.0",
        'medmodal_build_info{fusion="f1",knowledge="k1",medical="m1",omni="o1",service="0"} 1.0',
    ):
        assert line in text


async def test_root_docs_and_head() -> None:
    async with asgi_client(components()) as client:
        root = await client.get("/")
        assert root.json()["docs"] == "/docs"
        page = await client.get("/docs")
        assert "http://" not in page.text
        assert "https://" not in page.text, "everything comes from this machine"
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
            assert f"/docs/assets/{asset}" in page.text
            assert (await client.get(f"/docs/assets/{asset}")).status_code == 200
        head = await client.head("/health/live")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == "18"
        assert (await client.head("/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", ANALYZE, 405, "OPTIONS, POST"),
        ("HEAD", ANALYZE, 405, "OPTIONS, POST"),
        ("DELETE", "/health", 405, "GET, HEAD, OPTIONS"),
        ("TRACE", FEEDBACK, 405, "OPTIONS, POST"),
        ("OPTIONS", ANALYZE, 204, "OPTIONS, POST"),
        ("POST", "/docs/assets/swagger-ui.css", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/", 204, "GET, HEAD, OPTIONS"),
    ],
)
async def test_methods(method: str, path: str, status: int, allow: str) -> None:
    async with asgi_client(components()) as client:
        response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (status, allow)


@pytest.mark.parametrize("path", ["/nope", "/api/v1/analyze/", "/docs/assets/../../etc/passwd", "/docs/assets/nope.js"])
async def test_unknown_addresses(path: str) -> None:
    async with asgi_client(components()) as client:
        response = await client.get(path, headers={"Accept-Language": "ko"})
    assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
    assert response.json()["title"] == "찾을 수 없음"
