"""The learning loop's routes on real tables and real versions: what a learner writes is what callers are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.adaptation import FeedbackUse, LearningRun, RunProgress
from app.services.host import Components
from app.services.ports import LearningStores
from app.storage.analyses import AnalysisRepository
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.feedback_queue import FeedbackQueue
from app.storage.runs import RunRepository
from app.versions.registry import VersionRegistry
from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, LEARNING, RUNS, VERSIONS, asgi_client
from tests.services.fakes import FakePredictor, components
from tests.versions.folders import publish, write_fusion

KEY, OTHER, ADMIN = "key-number-one-long-enough", "key-number-two-long-enough", "admin-key-number-one-long"
KEYS: dict[str, Any] = {"api_keys": f"{KEY},{OTHER}", "admin_keys": ADMIN}
AS_CALLER, AS_OTHER, AS_ADMIN = ({"X-API-Key": key} for key in (KEY, OTHER, ADMIN))
OWNER = "host:1:abc"
REPORT = {"run_id": "run", "decision": {"decision": "promote", "reason": None, "failed": []}}


@pytest.fixture
def registry(tmp_path: Path) -> VersionRegistry:
    return VersionRegistry(tmp_path / "versions", write_fusion(tmp_path / "fusion", "base"))


@pytest.fixture
def parts(database: Database, registry: VersionRegistry) -> Components:
    """The real tables under everything that the answers come from; the database is closed by its own fixture."""
    stores = LearningStores(RunRepository(database), FeedbackQueue(database), AuditLog(database), registry)
    return replace(
        components(predictor=FakePredictor(version=registry.base_version)),
        analyses=AnalysisRepository(database),
        feedback=FeedbackRepository(database),
        learning=stores,
        close=lambda: None,
    )


async def send(client: httpx.AsyncClient, headers: dict[str, str], **verdict: Any) -> str:
    """A case and a verdict on its answer; the feedback's id."""
    case = (await client.post(ANALYZE, json={"text": ENGLISH}, headers=headers)).json()
    body = {"analysis_id": case["analysis_id"], **verdict}
    answer = await client.post(FEEDBACK, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["feedback_id"])


async def outcome(client: httpx.AsyncClient, feedback_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{FEEDBACK}/{feedback_id}", headers=AS_ADMIN)).json()
    return {name: found[name] for name in ("outcome", "reason", "run_id", "version", "role")}


def claimed(runs: RunRepository) -> LearningRun:
    run = runs.claim(OWNER, 60.0, 3)
    assert run is not None
    return run


async def test_feedback_is_followed_from_the_queue_to_a_promoted_version_and_back(
    parts: Components, database: Database, registry: VersionRegistry
) -> None:
    runs = RunRepository(database)
    async with asgi_client(parts, **KEYS) as client:
        trained = await send(client, AS_CALLER, is_correct=False, corrected_diagnosis="폐렴")
        judged = await send(client, AS_OTHER, is_correct=True)
        useless = await send(client, AS_OTHER, is_correct=False)
        waiting = (await client.get(LEARNING, headers=AS_CALLER)).json()["waiting"]
        assert waiting == {"usable": 2, "unusable": {"no_label": 1}}
        assert (await outcome(client, trained))["outcome"] == "waiting"
        assert (await outcome(client, useless))["reason"] == "no_label"
        assert (await client.get(f"{FEEDBACK}/{trained}", headers=AS_OTHER)).status_code == 404

        run_id = (await client.post(RUNS, headers=AS_ADMIN)).json()["run_id"]
        assert claimed(runs).run_id == run_id
        uses = [FeedbackUse(trained, "train", 1.0), FeedbackUse(judged, "held_out", 0.0)]
        runs.select(run_id, OWNER, registry.base_version, uses, {"train": 1, "held_out": 1})
        runs.heartbeat(run_id, OWNER, 60.0, RunProgress("training", 0.5, {"epoch": 2.0}))
        run = (await client.get(f"{RUNS}/{run_id}", headers=AS_CALLER)).json()
        assert (run["state"], run["progress"]["share"], run["counts"]["train"]) == ("running", 0.5, 1)
        assert (await outcome(client, trained))["outcome"] == "in_training"

        runs.gating(run_id, OWNER)
        version = publish(registry, "candidate")
        runs.decide(run_id, OWNER, "promote", None, version, REPORT)
        refused = await client.post(f"{RUNS}/{run_id}/cancel", headers=AS_ADMIN)
        assert (refused.status_code, refused.json()["code"]) == (409, "run_decided")
        runs.finish(run_id, OWNER, "promoted", None)
        assert await outcome(client, trained) == {
            "outcome": "promoted", "reason": None, "run_id": run_id, "version": version, "role": "train",
        }  # fmt: skip
        assert (await client.get(LEARNING, headers=AS_CALLER)).json()["waiting"]["usable"] == 0

        forward = await client.post(f"{VERSIONS}/{version}/activate", headers=AS_ADMIN)
        assert (forward.status_code, forward.json()["active"]["version"]) == (200, version)
        back = {"expected": version}
        base = f"{VERSIONS}/{registry.base_version}/activate"
        assert (await client.post(base, headers=AS_ADMIN, json=back)).status_code == 200
        assert (await client.post(base, headers=AS_ADMIN, json=back)).json()["code"] == "version_changed"
        record = (await client.get(f"{RUNS}/{run_id}/change-record", headers=AS_ADMIN)).json()
    assert record["report"] == REPORT
    assert [item["action"] for item in record["activations"]] == ["version.activating", "version.activated"]
    audit = AuditLog(database)
    assert audit.verify(registry.audit_head()).first_broken is None
    tried = ["version.activating", "version.activated"] * 2 + ["version.activating", "version.not_activated"]
    assert [entry.action for entry in audit.entries()][-6:] == tried


async def test_a_damaged_version_is_refused_and_the_attempt_stands_in_the_log(
    parts: Components, database: Database, registry: VersionRegistry
) -> None:
    version = publish(registry, "candidate")
    weights = registry.folder(version) / "weights.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    async with asgi_client(parts, **KEYS) as client:
        answer = await client.post(f"{VERSIONS}/{version}/activate", headers=AS_ADMIN)
        active = (await client.get(VERSIONS, headers=AS_ADMIN)).json()["active"]
    assert (answer.status_code, answer.json()["code"]) == (409, "version_not_servable")
    assert (active["version"], active["sequence"]) == (registry.base_version, 0)
    assert [entry.action for entry in AuditLog(database).entries()] == ["version.activating", "version.not_activated"]


async def test_a_run_that_waits_is_cancelled_at_once_and_one_under_way_is_told_to_stop(
    parts: Components, database: Database
) -> None:
    runs = RunRepository(database)
    async with asgi_client(parts, **KEYS) as client:
        await send(client, AS_CALLER, is_correct=True)
        first = (await client.post(RUNS, headers=AS_ADMIN)).json()["run_id"]
        assert (await client.post(RUNS, headers=AS_ADMIN)).json()["code"] == "run_active"
        assert (await client.post(f"{RUNS}/{first}/cancel", headers=AS_ADMIN)).json()["state"] == "cancelled"
        assert (await client.post(f"{RUNS}/{first}/cancel", headers=AS_ADMIN)).json()["code"] == "run_finished"
        second = (await client.post(RUNS, headers=AS_ADMIN)).json()["run_id"]
        claimed(runs)
        told = (await client.post(f"{RUNS}/{second}/cancel", headers=AS_ADMIN)).json()
        assert (told["state"], told["cancel_requested"]) == ("running", True)
        assert runs.heartbeat(second, OWNER, 60.0, None)
        status = (await client.get(LEARNING, headers=AS_ADMIN)).json()
    assert [run["run_id"] for run in status["last_runs"]] == [second, first]
    assert status["active_run"]["run_id"] == second
