"""The learning loop's routes: /api/v1/learning, /api/v1/versions and GET /api/v1/feedback/{id}."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from app.adaptation import ActiveVersion, ExclusionReason, FeedbackOutcome, FeedbackProgress, RunProgress
from app.api.accept import prefers_markdown
from tests.api.harness import FEEDBACK, LEARNING, RUNS, VERSIONS, asgi_client
from tests.services.fakes import components
from tests.services.learning_fakes import BASE, NEWER, NOW, FakeLearning, FakeRuns, FakeVersions, a_run, queued

KEY, OTHER, ADMIN = "key-number-one-long-enough", "key-number-two-long-enough", "admin-key-number-one-long"
KEYS: dict[str, Any] = {"api_keys": f"{KEY},{OTHER}", "admin_keys": ADMIN}
AS_ADMIN, AS_CALLER = {"X-API-Key": ADMIN}, {"X-API-Key": KEY}
ACTIVATE = f"{VERSIONS}/{NEWER}/activate"
STRANGE_IDS = [
    "a" * 65,
    "a" * 5000,
    "%2e%2e%2e",
    "%2e%2e%2factive.json",
    "run_1%00",
    "run_1%0a",
    "%ED%99%8D%EA%B8%B8%EB%8F%99",
    "-rf",
    "run 1",
    "run_1'--",
    "{run_id}",
]


def caller_of(key: str) -> str:
    return hashlib.sha256(b"caller:" + hashlib.sha256(key.encode()).digest()).hexdigest()[:16]


def busy() -> FakeLearning:
    """A run under way that a caller with KEY's digest asked for, and one version that an admin chose."""
    runs = FakeRuns()
    runs.runs["run_1"] = a_run(
        state="running",
        requested_by=caller_of(ADMIN),
        lease_owner="host-7:4711:abcdef",
        progress=RunProgress("training", 0.4, {"epoch": 6.0}),
        counts={"train": 3},
    )
    return FakeLearning(runs, versions=FakeVersions(pointer=ActiveVersion(NEWER, 1, NOW, caller_of(ADMIN), "run_1")))


# --------------------------------------------------------------------------- reading
async def test_status_for_everyone_and_who_did_it_for_admins() -> None:
    learning = busy()
    learning.queue.rows = [queued("fb_1"), queued("fb_2", is_correct=False)]
    async with asgi_client(components(learning=learning), **KEYS, learning_min_feedback=7) as client:
        plain = (await client.get(LEARNING, headers=AS_CALLER)).json()
        admin = (await client.get(LEARNING, headers=AS_ADMIN)).json()
    assert plain["waiting"] == {"usable": 1, "unusable": {"no_label": 1}}
    assert (plain["enabled"], plain["threshold"]) == (True, 7)
    assert (plain["active_version"], plain["serving_version"]) == (NEWER, BASE)
    assert plain["active_run"] == plain["last_runs"][0]
    assert plain["active_run"]["progress"] == {"step": "training", "share": 0.4, "detail": {"epoch": 6.0}}
    assert plain["active_run"]["requested_by"] is None
    assert admin["active_run"]["requested_by"] == caller_of(ADMIN)
    assert "host-7" not in str(admin), "a worker's name is nobody's business"


async def test_no_caller_is_told_to_who_is_no_admin() -> None:
    async with asgi_client(components(learning=busy()), **KEYS) as client:
        for path in (LEARNING, f"{RUNS}/run_1", VERSIONS):
            assert caller_of(ADMIN) not in (await client.get(path, headers=AS_CALLER)).text
            assert caller_of(ADMIN) in (await client.get(path, headers=AS_ADMIN)).text


async def test_versions_newest_first_and_the_active_one() -> None:
    async with asgi_client(components(learning=busy())) as client:
        answer = await client.get(VERSIONS)
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert [item["version"] for item in body["versions"]] == [NEWER, BASE]
    assert body["versions"][0]["figures"] == {"held_out_accuracy": 0.9}
    assert body["versions"][1] == {
        "version": BASE, "parent": None, "run_id": None, "created_at": None, "counts": {}, "figures": {},
        "settings": {}, "code_revision": None,
    }  # fmt: skip
    assert (body["active"]["version"], body["active"]["sequence"], body["refused"]) == (NEWER, 1, None)


# --------------------------------------------------------------------------- runs
async def test_a_run_is_started_looked_at_and_cancelled() -> None:
    learning = FakeLearning()
    learning.queue.rows = [queued("fb_1")]
    async with asgi_client(components(learning=learning), **KEYS, lora_r=4) as client:
        started = await client.post(RUNS, headers=AS_ADMIN)
        assert started.status_code == 202
        run = started.json()
        assert (run["state"], run["requested_by"], run["settings"]["lora_r"]) == ("queued", caller_of(ADMIN), 4)
        again = await client.post(RUNS, headers=AS_ADMIN)
        assert (again.status_code, again.json()["code"]) == (409, "run_active")
        assert run["run_id"] in again.json()["detail"]
        found = await client.get(started.headers["location"], headers=AS_CALLER)
        assert found.json() == {**run, "requested_by": None}
        cancelled = await client.post(f"{RUNS}/{run['run_id']}/cancel", headers=AS_ADMIN)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        over = await client.post(f"{RUNS}/{run['run_id']}/cancel", headers=AS_ADMIN)
        assert (over.status_code, over.json()["code"]) == (409, "run_finished")


async def test_without_any_key_a_run_is_nobodys() -> None:
    learning = FakeLearning()
    learning.queue.rows = [queued("fb_1")]
    async with asgi_client(components(learning=learning)) as client:
        assert (await client.post(RUNS)).json()["requested_by"] == "local"
    assert learning.runs.runs["run_0"].requested_by == ""


@pytest.mark.parametrize(
    ("options", "code"), [({}, "nothing_to_learn"), ({"lora_enabled": False}, "learning_disabled")]
)
async def test_a_run_that_cannot_be_is_refused_in_both_languages(options: dict[str, Any], code: str) -> None:
    titles = set()
    async with asgi_client(components(), **options) as client:
        for language in ("ko", "en"):
            answer = await client.post(RUNS, headers={"Accept-Language": language})
            assert (answer.status_code, answer.json()["code"]) == (409, code)
            assert answer.headers["content-language"] == language
            titles.add(answer.json()["detail"])
    assert len(titles) == 2


@pytest.mark.parametrize("decided", [False, True])
async def test_a_run_under_way_is_told_to_stop_until_the_gate_has_spoken(decided: bool) -> None:
    learning = busy()
    if decided:
        learning.runs.runs["run_1"] = a_run(state="gating", decision="promote")
    async with asgi_client(components(learning=learning)) as client:
        answer = await client.post(f"{RUNS}/run_1/cancel")
    if decided:
        assert (answer.status_code, answer.json()["code"]) == (409, "run_decided")
    else:
        assert (answer.status_code, answer.json()["state"], answer.json()["cancel_requested"]) == (200, "running", True)


# --------------------------------------------------------------------------- change record
REPORT = {
    "run_id": "run_1",
    "trigger": "manual",
    "modification": {"parent_version": BASE, "candidate_version": NEWER},
    "decision": {"decision": "promote", "reason": None, "failed": []},
}


def judged() -> FakeLearning:
    learning = FakeLearning()
    learning.runs.runs["run_1"] = a_run(state="promoted", candidate_version=NEWER, report=REPORT)
    learning.audit.append("worker", "version.activated", NEWER, {})
    return learning


async def test_a_change_record_is_data_or_a_document_in_the_callers_language() -> None:
    path = f"{RUNS}/run_1/change-record"
    async with asgi_client(components(learning=judged())) as client:
        data = await client.get(path)
        documents = [
            await client.get(path, headers={"Accept": "text/markdown", "Accept-Language": language})
            for language in ("ko", "en")
        ]
        assert (await client.get(f"{RUNS}/run_1")).json()["has_change_record"]
    assert data.json()["report"] == REPORT
    assert [item["by"] for item in data.json()["activations"]] == ["worker"]
    assert data.headers["vary"] == "Accept"
    korean, english = documents
    assert korean.headers["content-type"] == english.headers["content-type"] == "text/markdown; charset=utf-8"
    assert [item.headers["content-language"] for item in documents] == ["ko", "en"]
    assert korean.text != english.text
    for document in documents:
        assert document.text.startswith("# ")
        assert NEWER in document.text
        assert document.headers["vary"] == "Accept, Accept-Language"


async def test_a_run_that_was_not_judged_has_no_change_record() -> None:
    async with asgi_client(components(learning=busy())) as client:
        answer = await client.get(f"{RUNS}/run_1/change-record", headers={"Accept": "text/markdown"})
        assert not (await client.get(f"{RUNS}/run_1")).json()["has_change_record"]
    assert (answer.status_code, answer.json()["code"]) == (404, "change_record_not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/markdown", True),
        ("TEXT/Markdown; charset=utf-8", True),
        ("text/*", True),
        ("text/markdown, application/json", False),
        ("text/markdown, application/json;q=0.9", True),
        ("text/markdown;q=0.1, */*;q=0.2", False),
        ("text/markdown;variant=GFM;q=0.8, application/*;q=0.5", True),
        ("text/*, text/markdown;q=0", False),
        ("text/html, image/png", False),
        ("text/markdown;q=high", False),
        (";;;,,,q=1", False),
        ("x" * 10_000 + ", text/markdown", False),
    ],
)
def test_which_form_is_preferred(accept: str, expected: bool) -> None:
    assert prefers_markdown(accept) is expected


# --------------------------------------------------------------------------- feedback
async def test_what_became_of_feedback_is_told_to_who_sent_it_and_to_admins() -> None:
    learning = FakeLearning()
    learning.runs.rows["fb_1"] = FeedbackProgress(
        "fb_1", NOW, caller_of(KEY), "promoted", None, "run_1", NEWER, "train"
    )
    statuses = {}
    async with asgi_client(components(learning=learning), **KEYS) as client:
        for name, key in (("own", KEY), ("other", OTHER), ("admin", ADMIN)):
            answer = await client.get(f"{FEEDBACK}/fb_1", headers={"X-API-Key": key})
            statuses[name] = answer.status_code
            assert caller_of(KEY) not in answer.text
        missing = await client.get(f"{FEEDBACK}/fb_2", headers={"X-API-Key": OTHER})
        assert (await client.get(f"{FEEDBACK}/fb_1")).status_code == 401
        own = (await client.get(f"{FEEDBACK}/fb_1", headers=AS_CALLER)).json()
    assert statuses == {"own": 200, "other": 404, "admin": 200}
    assert (missing.status_code, missing.json()["code"]) == (404, "feedback_not_found")
    assert own["created_at"] == "2026-11-21T09:30:00Z"
    assert [own[name] for name in ("outcome", "run_id", "version", "role")] == ["promoted", "run_1", NEWER, "train"]


@pytest.mark.parametrize("outcome", get_args(FeedbackOutcome))
@pytest.mark.parametrize("reason", [None, *get_args(ExclusionReason), "gate_accuracy"])
async def test_what_became_of_it_is_said_in_sentences(outcome: Any, reason: str | None) -> None:
    learning = FakeLearning()
    learning.runs.rows["fb_1"] = FeedbackProgress("fb_1", NOW, "", outcome, reason, None, None, None)
    messages = set()
    async with asgi_client(components(learning=learning)) as client:
        for language in ("ko", "en"):
            answer = await client.get(f"{FEEDBACK}/fb_1", headers={"Accept-Language": language})
            assert answer.headers["content-language"] == language
            messages.add(answer.json()["message"])
    assert len(messages) == 2
    sentences = 2 if reason in get_args(ExclusionReason) else 1
    assert {message.count(". ") + 1 for message in messages} == {sentences}


# --------------------------------------------------------------------------- activation
async def test_a_version_is_put_into_service_and_rolled_back() -> None:
    learning = FakeLearning()
    async with asgi_client(components(learning=learning), **KEYS) as client:
        forward = await client.post(ACTIVATE, headers=AS_ADMIN, json={"expected": BASE})
        stale = await client.post(f"{VERSIONS}/{BASE}/activate", headers=AS_ADMIN, json={"expected": BASE})
        back = await client.post(f"{VERSIONS}/{BASE}/activate", headers=AS_ADMIN)
    assert (forward.status_code, forward.json()["active"]["version"]) == (200, NEWER)
    assert forward.json()["active"]["activated_by"] == caller_of(ADMIN)
    assert (stale.status_code, stale.json()["code"]) == (409, "version_changed")
    assert (back.status_code, back.json()["active"]["version"], back.json()["active"]["sequence"]) == (200, BASE, 2)
    assert {entry.actor for entry in learning.audit.log} == {caller_of(ADMIN)}


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 200, None),
        (b"", {"Content-Type": "application/json"}, 200, None),
        (b"{}", {"Content-Type": "application/json"}, 200, None),
        (b'{"expected": null}', {"Content-Type": "application/json; charset=utf-8"}, 200, None),
        (b"{}", {}, 415, "content_type_unsupported"),
        (b"expected=f1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "content_type_unsupported"),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "content_encoding_unsupported"),
        (b"{", {"Content-Type": "application/json"}, 400, "json_invalid"),
        (b"NaN", {"Content-Type": "application/json"}, 400, "json_invalid"),
        (b"[" * 9000, {"Content-Type": "application/json"}, 413, "body_too_large"),
        (b"[]", {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b"null", {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b'{"expected": 1}', {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b'{"expected": ""}', {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b'{"expected": ["f1"]}', {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b'{"by": "worker"}', {"Content-Type": "application/json"}, 422, "validation_failed"),
        (b'{"expected": "%s"}' % (b"f" * 65), {"Content-Type": "application/json"}, 422, "validation_failed"),
    ],
)
async def test_the_body_of_an_activation_is_optional_and_strict(
    content: bytes, headers: Mapping[str, str], status: int, code: str | None
) -> None:
    learning = FakeLearning()
    async with asgi_client(components(learning=learning)) as client:
        answer = await client.post(ACTIVATE, content=content, headers=headers)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert (learning.versions.pointer.version == NEWER) == (status == 200)
    assert bool(learning.audit.log) == (status == 200)


async def test_a_damaged_version_is_a_conflict_that_names_no_file() -> None:
    learning = FakeLearning(versions=FakeVersions(damaged=frozenset({NEWER})))
    async with asgi_client(components(learning=learning)) as client:
        answer = await client.post(ACTIVATE, headers={"Accept-Language": "ko"})
    assert (answer.status_code, answer.json()["code"]) == (409, "version_not_servable")
    assert "safetensors" not in answer.text


# --------------------------------------------------------------------------- whatever goes wrong
@pytest.mark.parametrize("strange", STRANGE_IDS)
async def test_an_id_that_cannot_be_is_unknown_and_never_looked_up(strange: str) -> None:
    learning = FakeLearning()
    async with asgi_client(components(learning=learning)) as client:
        answers = [
            await client.get(f"{RUNS}/{strange}"),
            await client.get(f"{RUNS}/{strange}/change-record"),
            await client.post(f"{RUNS}/{strange}/cancel"),
            await client.get(f"{FEEDBACK}/{strange}"),
            await client.post(f"{VERSIONS}/{strange}/activate", content=b"not even read"),
        ]
    found = {(answer.status_code, answer.json()["code"]) for answer in answers}
    codes = {"run_not_found", "feedback_not_found", "version_not_found"}
    elsewhere = {"route_not_found", "method_not_allowed"}
    assert {code for _, code in found} <= codes | elsewhere
    assert {status for status, _ in found} <= {404, 405}
    assert learning.runs.asked_for == []
    assert learning.audit.log == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", LEARNING, "GET, HEAD, OPTIONS"),
        ("GET", RUNS, "OPTIONS, POST"),
        ("DELETE", f"{RUNS}/run_1", "GET, HEAD, OPTIONS"),
        ("GET", f"{RUNS}/run_1/cancel", "OPTIONS, POST"),
        ("PUT", VERSIONS, "GET, HEAD, OPTIONS"),
        ("GET", ACTIVATE, "OPTIONS, POST"),
        ("DELETE", f"{FEEDBACK}/fb_1", "GET, HEAD, OPTIONS"),
    ],
)
async def test_other_methods_are_refused(method: str, path: str, allowed: str) -> None:
    learning = busy()
    async with asgi_client(components(learning=learning)) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed
    assert learning.runs.asked_for == []


async def test_a_database_that_does_not_answer_is_507() -> None:
    async with asgi_client(components(learning=FakeLearning(FakeRuns(failing=True)))) as client:
        for method, path in (("GET", LEARNING), ("POST", RUNS), ("GET", f"{RUNS}/run_1"), ("GET", f"{FEEDBACK}/fb_1")):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_unavailable")


async def test_a_damaged_pointer_is_503_and_health_stays_as_it_is() -> None:
    async with asgi_client(components(learning=FakeLearning(versions=FakeVersions(unreadable=True)))) as client:
        for path in (LEARNING, VERSIONS):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "versions_unreadable")
            assert "active.json" not in answer.text
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post(ACTIVATE)).status_code == 200
        assert (await client.get(VERSIONS)).status_code == 200


async def test_before_the_models_are_loaded_it_is_503() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError

    async with asgi_client(None, build=never, wait=False) as client:
        requests = [("GET", LEARNING), ("POST", RUNS), ("GET", VERSIONS), ("POST", ACTIVATE), ("GET", f"{FEEDBACK}/x")]
        for method, path in requests:
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) in {(503, "models_failed"), (503, "models_loading")}


async def test_addresses_in_metrics_are_templates() -> None:
    async with asgi_client(components(learning=busy())) as client:
        await client.get(f"{RUNS}/run_secret")
        await client.post(f"{VERSIONS}/version_secret/activate")
        metrics = (await client.get("/metrics")).text
    assert "secret" not in metrics
    assert 'route="/api/v1/learning/runs/{run_id}"' in metrics
    assert 'route="/api/v1/versions/{version}/activate"' in metrics
