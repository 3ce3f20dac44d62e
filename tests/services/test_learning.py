"""The learning loop as its callers see it, on stores in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from app.adaptation import ActiveVersion, FeedbackProgress
from app.errors import AppError, ConflictError, NotFoundError, NotReadyError, StorageError
from app.services.activation import ACTIVATED, ACTIVATING, NOT_ACTIVATED
from app.services.host import ComponentHost, RefusedVersion
from app.services.learning import LAST_RUNS, LearningPolicy, LearningService
from app.services.pools import WorkerPool
from tests.services.fakes import components
from tests.services.learning_fakes import BASE, NEWER, NOW, FakeAudit, FakeLearning, FakeVersions, a_run, queued
from tests.services.waiting import until

POLICY = LearningPolicy(enabled=True, min_feedback=20, run_settings={"lora_r": 8})
CALLER = "9c56cc51b374c3ba"


@asynccontextmanager
async def serving(
    learning: FakeLearning, *, policy: LearningPolicy = POLICY, refused: RefusedVersion | None = None
) -> AsyncIterator[LearningService]:
    host = ComponentHost(lambda _progress: components(learning=learning), threading.Event())
    host.start()
    await until(lambda: host.status().state != "loading")
    host.refuse(refused)
    pool = WorkerPool("learning", threads=1, backlog=4)
    yield LearningService(host, pool, policy)
    pool.close()
    host.close()


def raised(error: AppError, code: str, **params: Any) -> None:
    assert error.code == code
    assert error.params == params


# --------------------------------------------------------------------------- status
async def test_waiting_feedback_is_counted_by_what_can_be_learnt_from() -> None:
    learning = FakeLearning()
    learning.queue.rows = [
        queued("fb_1"),
        queued("fb_2", corrected_condition_id="common_cold", has_correction=True, is_correct=False),
        queued("fb_3", analysis_id=None),
        queued("fb_4", is_correct=False),
        queued("fb_5", is_correct=False),
        queued("fb_6", encoders={"omni/text": "older"}),
        queued("fb_7", shown_condition_id="scurvy"),
    ]
    async with serving(learning) as service:
        status = await service.status()
    assert status.waiting.usable == 2
    assert status.waiting.unusable == {"no_analysis": 1, "no_label": 2, "other_encoder": 1, "unknown_label": 1}
    assert (status.enabled, status.threshold) == (True, 20)


async def test_status_names_the_active_run_and_the_last_ones() -> None:
    learning = FakeLearning()
    for number in range(LAST_RUNS + 2):
        learning.runs.runs[f"run_{number}"] = a_run(f"run_{number}", state="promoted")
    async with serving(learning) as service:
        assert (await service.status()).active_run is None
        learning.runs.runs["run_x"] = a_run("run_x", state="gating")
        status = await service.status()
    assert status.active_run is not None
    assert status.active_run.run_id == "run_x"
    assert [run.run_id for run in status.last_runs] == ["run_x", *(f"run_{n}" for n in range(LAST_RUNS + 1, 2, -1))]


async def test_what_was_chosen_and_what_answers_are_told_apart() -> None:
    learning = FakeLearning(versions=FakeVersions(pointer=ActiveVersion(NEWER, 1, NOW, CALLER, "run_1")))
    refused = RefusedVersion(NEWER, "version_damaged", NOW)
    async with serving(learning, refused=refused) as service:
        status, versions = await service.status(), await service.versions()
    assert (status.active_version, status.serving_version) == (NEWER, BASE)
    assert (versions.active.version, versions.serving_version, versions.refused) == (NEWER, BASE, refused)
    assert [info.version for info in versions.versions] == [NEWER, BASE]
    assert learning.versions.threads == {"learning_0"}, "hashing and locks stay off the cases' threads"


# --------------------------------------------------------------------------- runs
async def test_a_run_is_opened_with_the_servers_settings() -> None:
    learning = FakeLearning()
    learning.queue.rows = [queued("fb_1")]
    async with serving(learning) as service:
        run = await service.start_run(CALLER)
        with pytest.raises(ConflictError) as refused:
            await service.start_run(None)
    assert (run.trigger, run.requested_by, run.settings) == ("manual", CALLER, {"lora_r": 8})
    raised(refused.value, "run_active", run_id=run.run_id)
    assert list(learning.runs.runs) == [run.run_id]


@pytest.mark.parametrize("rows", [[], [queued("fb_1", is_correct=False), queued("fb_2", analysis_id=None)]])
async def test_no_run_is_opened_for_nothing(rows: list[Any]) -> None:
    learning = FakeLearning()
    learning.queue.rows = rows
    async with serving(learning) as service:
        with pytest.raises(ConflictError) as refused:
            await service.start_run(None)
    raised(refused.value, "nothing_to_learn")
    assert learning.runs.runs == {}


async def test_rows_of_a_rejected_run_may_be_tried_again_on_request() -> None:
    learning = FakeLearning()
    learning.queue.given_up_once = [queued("fb_1")]
    async with serving(learning) as service:
        assert (await service.start_run(CALLER)).trigger == "manual"


async def test_a_server_that_does_not_learn_opens_no_run() -> None:
    learning = FakeLearning()
    learning.queue.rows = [queued("fb_1")]
    async with serving(learning, policy=replace(POLICY, enabled=False)) as service:
        assert not (await service.status()).enabled
        with pytest.raises(ConflictError) as refused:
            await service.start_run(None)
    raised(refused.value, "learning_disabled")
    assert learning.runs.runs == {}


async def test_of_many_who_start_a_run_at_once_one_succeeds() -> None:
    learning = FakeLearning()
    learning.queue.rows = [queued("fb_1")]
    async with serving(learning) as service:
        found = await asyncio.gather(*(service.start_run(None) for _ in range(5)), return_exceptions=True)
    assert sorted(type(item).__name__ for item in found) == ["ConflictError"] * 4 + ["LearningRun"]


# --------------------------------------------------------------------------- feedback
@pytest.mark.parametrize(
    ("owner", "caller", "is_admin", "is_told"),
    [
        (CALLER, CALLER, False, True),
        ("", None, False, True),
        ("", None, True, True),
        (CALLER, None, True, True),
        (CALLER, "other", False, False),
        (CALLER, None, False, False),
        ("", CALLER, False, False),
    ],
)
async def test_feedback_is_its_callers_and_the_admins(
    owner: str, caller: str | None, is_admin: bool, is_told: bool
) -> None:
    learning = FakeLearning()
    learning.runs.rows["fb_1"] = FeedbackProgress("fb_1", NOW, owner, "waiting", None, None, None, None)
    async with serving(learning) as service:
        if is_told:
            assert (await service.feedback("fb_1", caller, is_admin=is_admin)).feedback_id == "fb_1"
            return
        with pytest.raises(NotFoundError) as hidden:
            await service.feedback("fb_1", caller, is_admin=is_admin)
        with pytest.raises(NotFoundError) as missing:
            await service.feedback("fb_2", caller, is_admin=is_admin)
    assert str(hidden.value) == str(missing.value), "nobody is told whether it is there"


# --------------------------------------------------------------------------- change record
async def test_a_change_record_comes_with_its_versions_activations() -> None:
    learning = FakeLearning()
    learning.runs.runs["run_1"] = a_run(state="promoted", candidate_version=NEWER, report={"run_id": "run_1"})
    learning.audit.append("worker", "run.promoted", "run_1", {})
    async with serving(learning) as service:
        await service.activate(NEWER, by=CALLER, expected=None)
        await service.activate(BASE, by=CALLER, expected=None)
        record = await service.change_record("run_1")
    assert record.report == {"run_id": "run_1"}
    assert [(entry.action, entry.actor) for entry in record.activations] == [(ACTIVATING, CALLER), (ACTIVATED, CALLER)]


async def test_a_long_audit_log_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    learning = FakeLearning()
    learning.runs.runs["run_1"] = a_run(state="promoted", candidate_version=NEWER, report={"run_id": "run_1"})
    for _ in range(2500):
        learning.audit.append("worker", ACTIVATED, NEWER, {})
    async with serving(learning) as service:
        assert len((await service.change_record("run_1")).activations) == 2500


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
async def test_before_the_gate_there_is_no_change_record(state: Any) -> None:
    learning = FakeLearning()
    learning.runs.runs["run_1"] = a_run(state=state)
    async with serving(learning) as service:
        with pytest.raises(NotFoundError) as missing:
            await service.change_record("run_1")
    raised(missing.value, "change_record_not_found")


# --------------------------------------------------------------------------- activation
async def test_an_activation_is_audited_before_and_after_and_the_pointer_remembers_the_first_entry() -> None:
    learning = FakeLearning()
    async with serving(learning) as service:
        status = await service.activate(NEWER, by=CALLER, expected=BASE)
        await service.activate(BASE, by=None, expected=None)
    assert status.active == ActiveVersion(NEWER, 1, NOW, CALLER, "run_1")
    assert learning.versions.pointer == ActiveVersion(BASE, 2, NOW, "local", None)
    assert [(entry.actor, entry.action, entry.subject, entry.details) for entry in learning.audit.log] == [
        (CALLER, ACTIVATING, NEWER, {"from": BASE, "run_id": "run_1"}),
        (CALLER, ACTIVATED, NEWER, {"from": BASE, "sequence": 1}),
        ("local", ACTIVATING, BASE, {"from": NEWER, "run_id": None}),
        ("local", ACTIVATED, BASE, {"from": NEWER, "sequence": 2}),
    ]
    assert learning.versions.audit_heads == ["digest-1", "digest-3"]


async def test_activating_the_active_version_changes_nothing() -> None:
    learning = FakeLearning()
    async with serving(learning) as service:
        for expected in (None, BASE):
            status = await service.activate(BASE, by=CALLER, expected=expected)
            assert status.active == ActiveVersion(BASE, 0)
        assert learning.audit.log == []
        with pytest.raises(ConflictError) as changed:
            await service.activate(BASE, by=CALLER, expected=NEWER)
    assert changed.value.code == "version_changed"
    assert learning.versions.pointer == ActiveVersion(BASE, 0)


async def test_an_unknown_version_is_not_even_tried() -> None:
    learning = FakeLearning()
    async with serving(learning) as service:
        with pytest.raises(NotFoundError) as missing:
            await service.activate("f9", by=None, expected=None)
    raised(missing.value, "version_not_found")
    assert learning.audit.log == []


@pytest.mark.parametrize(
    ("versions", "expected", "code", "noted"),
    [
        (FakeVersions(damaged=frozenset({NEWER})), None, "version_not_servable", "version_damaged"),
        (FakeVersions(pointer=ActiveVersion("f0", 3)), BASE, "version_changed", "version_changed"),
    ],
)
async def test_a_refused_activation_is_audited_as_one(
    versions: FakeVersions, expected: str | None, code: str, noted: str
) -> None:
    learning, before = FakeLearning(versions=versions), versions.pointer
    async with serving(learning) as service:
        with pytest.raises(ConflictError) as refused:
            await service.activate(NEWER, by=CALLER, expected=expected)
    assert refused.value.code == code
    assert versions.pointer == before
    assert [(entry.action, entry.details.get("code")) for entry in learning.audit.log] == [
        (ACTIVATING, None),
        (NOT_ACTIVATED, noted),
    ]


async def test_nothing_is_activated_that_cannot_be_audited() -> None:
    learning = FakeLearning(audit=FakeAudit(full_after=0))
    async with serving(learning) as service:
        with pytest.raises(StorageError):
            await service.activate(NEWER, by=CALLER, expected=None)
    assert learning.versions.pointer == ActiveVersion(BASE, 0)


async def test_what_was_activated_is_not_denied_because_its_second_entry_failed() -> None:
    learning = FakeLearning(audit=FakeAudit(full_after=1))
    async with serving(learning) as service:
        status = await service.activate(NEWER, by=CALLER, expected=None)
    assert status.active.version == learning.versions.pointer.version == NEWER
    assert [entry.action for entry in learning.audit.log] == [ACTIVATING]


async def test_a_damaged_pointer_is_said_and_replaced_by_choosing_anew() -> None:
    learning = FakeLearning(versions=FakeVersions(unreadable=True))
    async with serving(learning) as service:
        for asking in (service.status(), service.versions(), service.activate(NEWER, by=None, expected=BASE)):
            with pytest.raises(NotReadyError) as unreadable:
                await asking
            raised(unreadable.value, "versions_unreadable")
        assert learning.audit.log == []
        status = await service.activate(NEWER, by=None, expected=None)
    assert status.active.version == NEWER
    assert learning.audit.log[0].details == {"from": None, "run_id": "run_1"}
