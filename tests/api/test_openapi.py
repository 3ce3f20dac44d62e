"""The OpenAPI document: complete, true to what is answered, and survived by a generator of hostile requests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.api import examples
from app.main import create_app
from tests.api.harness import ANALYZE, FEEDBACK, LEARNING, RUNS, UPLOAD, VERSIONS, asgi_client, live_server, settings
from tests.services.fakes import FakeStorage, components

ONE_FEEDBACK = f"{FEEDBACK}/{{feedback_id}}"
ONE_RUN, CANCEL, CHANGE_RECORD = (f"{RUNS}/{{run_id}}{action}" for action in ("", "/cancel", "/change-record"))
ACTIVATE = f"{VERSIONS}/{{version}}/activate"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(settings()).openapi()


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    text = json.dumps({**document["components"]["schemas"][name], "components": document["components"]})
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used
    assert used <= names


def test_every_operation_says_what_it_is_and_what_it_answers(document: dict[str, Any]) -> None:
    operations = {
        (path, method): item for path, methods in document["paths"].items() for method, item in methods.items()
    }
    assert {path for path, _ in operations} == {
        "/", "/health", "/health/live", "/health/ready", "/metrics", ANALYZE, UPLOAD, FEEDBACK, ONE_FEEDBACK,
        LEARNING, RUNS, ONE_RUN, CANCEL, CHANGE_RECORD, VERSIONS, ACTIVATE,
    }  # fmt: skip
    for key, operation in operations.items():
        assert operation["summary"], key
        assert operation["description"], key
        assert operation["tags"], key
    shared = {"400", "401", "403", "408", "413", "415", "421", "422", "429", "500", "503"}
    for path in (ANALYZE, UPLOAD):
        assert set(operations[path, "post"]["responses"]) == {"200", "504"} | shared
    assert set(operations[FEEDBACK, "post"]["responses"]) == {"201", "404", "409", "507"} | shared
    reading = {"200", "401", "421", "429", "500", "503", "507"}
    for path in (LEARNING, VERSIONS):
        assert set(operations[path, "get"]["responses"]) == reading
    for path in (ONE_FEEDBACK, ONE_RUN):
        assert set(operations[path, "get"]["responses"]) == reading | {"404"}
    assert set(operations[CHANGE_RECORD, "get"]["responses"]) == reading | {"403", "404"}
    assert set(operations[RUNS, "post"]["responses"]) == reading - {"200"} | {"202", "403", "409"}
    assert set(operations[CANCEL, "post"]["responses"]) == reading | {"403", "404", "409"}
    assert set(operations[ACTIVATE, "post"]["responses"]) == {"200", "404", "409", "507"} | shared


def test_every_id_in_an_address_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        named = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
        for operation in methods.values():
            found = [item for item in operation.get("parameters", ()) if item["in"] == "path"]
            assert [item["name"] for item in found] == named
            assert all(re.search(item["schema"]["pattern"], item["example"]) for item in found)


def test_every_error_is_documented_as_a_problem_in_both_languages(document: dict[str, Any]) -> None:
    problem = jsonschema_rs.validator_for(schema(document, "Problem"))
    answers = [
        (status, answer)
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    ]
    assert len(answers) > 80
    for status, answer in answers:
        content = answer["content"]["application/problem+json"]
        assert set(content["examples"]) == {"en", "ko"}
        for example in content["examples"].values():
            assert problem.is_valid(example["value"])
            assert example["value"]["status"] == int(status)


@pytest.mark.parametrize(("path", "name", "cases"), [
    (ANALYZE, "AnalyzeRequest", examples.ANALYZE_REQUESTS),
    (FEEDBACK, "FeedbackRequest", examples.FEEDBACK_REQUESTS),
])  # fmt: skip
async def test_documented_requests_are_valid_and_accepted(
    document: dict[str, Any], path: str, name: str, cases: dict[str, Any]
) -> None:
    storage = FakeStorage()
    validator = jsonschema_rs.validator_for(schema(document, name))
    async with asgi_client(components(storage=storage)) as client:
        for title, case in cases.items():
            assert validator.is_valid(case["value"]), title
            response = await client.post(path, json=case["value"])
            known = "analysis_id" not in case["value"]
            assert response.status_code == ((201 if path == FEEDBACK else 200) if known else 404), (
                title,
                response.text,
            )


async def test_real_answers_and_the_documented_example_fit_the_schema(document: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(schema(document, "AnalyzeAnswer"))
    assert validator.is_valid(examples.ANALYZE_ANSWER)
    shown = document["paths"][ANALYZE]["post"]["responses"]["200"]["content"]["application/json"]
    assert shown["example"] == examples.ANALYZE_ANSWER
    async with asgi_client(components()) as client:
        for case in examples.ANALYZE_REQUESTS.values():
            answer = (await client.post(ANALYZE, json=case["value"])).json()
            assert validator.is_valid(answer), list(validator.iter_errors(answer))


@pytest.mark.parametrize(
    ("path", "method", "name"),
    [
        (ONE_FEEDBACK, "get", "FeedbackProgressAnswer"),
        (LEARNING, "get", "LearningAnswer"),
        (RUNS, "post", "LearningRunAnswer"),
        (ONE_RUN, "get", "LearningRunAnswer"),
        (CANCEL, "post", "LearningRunAnswer"),
        (CHANGE_RECORD, "get", "ChangeRecordAnswer"),
        (VERSIONS, "get", "VersionsAnswer"),
        (ACTIVATE, "post", "VersionsAnswer"),
    ],
)
def test_examples_of_the_learning_loop_fit_their_schemas(
    document: dict[str, Any], path: str, method: str, name: str
) -> None:
    answer = next(found for status, found in document["paths"][path][method]["responses"].items() if status[0] == "2")
    content = answer["content"]["application/json"]
    assert content["schema"] == {"$ref": f"#/components/schemas/{name}"}
    validator = jsonschema_rs.validator_for(schema(document, name))
    assert validator.is_valid(content["example"]), list(validator.iter_errors(content["example"]))


# --------------------------------------------------------------------------- schemathesis
@pytest.mark.slow
def test_generated_requests_never_break_it(tmp_path: Path) -> None:
    """Every check but that any string is a good file: answers fit the document, and none is a server error."""
    tool = Path(sys.executable).with_name("st")
    with live_server(components(), body_timeout_s=5) as url:
        command = [
            str(tool), "run", f"{url}/openapi.json", "--no-color", "--generation-deterministic", "--max-examples", "10",
            "--exclude-checks", "positive_data_acceptance",
        ]  # fmt: skip
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]
    assert "16 selected / 16 total" in ended.stdout
