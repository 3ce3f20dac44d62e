"""Requests made up from the service's own OpenAPI document, right and wrong ones: every answer is one that it promises.

Not through schemathesis' pytest plugin: it reads an attribute that pytest 9 took away.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.evaluation.service import MeasuredService

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
READS = [
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/v1/learning",
    "/api/v1/learning/runs/{run_id}",
    "/api/v1/learning/runs/{run_id}/change-record",
    "/api/v1/versions",
    "/api/v1/feedback/{feedback_id}",
]
WRITES = ["/api/v1/analyze", "/api/v1/analyze_upload", "/api/v1/feedback"]
COMMANDS = [
    "/api/v1/learning/runs",
    "/api/v1/learning/runs/{run_id}/cancel",
    "/api/v1/versions/{version}/activate",
]
"""Writes without a body to make up much of."""
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def api(service: MeasuredService) -> Any:
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def fuzz(operation: Any, mode: GenerationMode, examples: int) -> int:
    """Send them; how many were sent."""
    sent = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(checks=PROMISES, timeout=60)

    check()
    return sent


@pytest.mark.parametrize("path", READS)
def test_reading(api: Any, path: str) -> None:
    assert fuzz(api[path]["GET"], GenerationMode.POSITIVE, 5) >= 1


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", WRITES)
def test_writing(api: Any, path: str, mode: GenerationMode) -> None:
    assert fuzz(api[path]["POST"], mode, 40) >= 40


@pytest.mark.parametrize("path", COMMANDS)
def test_commands(api: Any, path: str) -> None:
    for mode in MODES if "{" in path else MODES[:1]:  # without a parameter there is nothing to get wrong
        assert fuzz(api[path]["POST"], mode, 10) >= 1


def test_every_operation_is_tried(api: Any) -> None:
    found = {(operation.ok().method.upper(), operation.ok().path) for operation in api.get_all_operations()}
    assert found == {("GET", path) for path in READS} | {("POST", path) for path in WRITES + COMMANDS}
