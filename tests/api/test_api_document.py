"""docs/API.md says what the code does: codes, fields, ranges, limits, routes, metrics, examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from app.adaptation import ExclusionReason, FeedbackOutcome
from app.api.answers import AnalyzeAnswer, FeedbackAnswer
from app.api.learning_answers import FeedbackProgressAnswer, LearningAnswer, LearningRunAnswer, VersionsAnswer
from app.api.messages.learning import EXCLUSIONS, OUTCOMES
from app.api.messages.validation import VALIDATION
from app.api.messages.warnings import WARNINGS
from app.api.metrics import Metrics
from app.api.schemas import ActivateRequest, AnalyzeRequest, FeedbackRequest
from app.main import create_app
from app.settings import Settings
from tests.api.harness import settings
from tests.api.sent_codes import NEVER_SENT, sent_codes

DOCUMENT = (Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
UNITS = {"MiB": 1024 * 1024, "characters": 1, "pixels": 1, "s": 1}


def section(title: str) -> str:
    """From this heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(title: str, first_cell: str) -> list[list[str]]:
    """The cells of the section's table whose heading begins with `first_cell`, without back quotes."""
    lines = section(title).split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def codes(title: str, first_cell: str) -> list[str]:
    return [cells[0].strip("`") for cells in rows(title, first_cell)]


# ----------------------------------------------------------------------- codes
def test_the_problem_table_is_exactly_what_can_be_sent() -> None:
    written = {cells[0].strip("`"): int(cells[1]) for cells in rows("Problem codes", "code")}
    can_be_sent = sent_codes()
    assert can_be_sent.pop("http_error") == 0
    assert "`http_error`" in section("Problem codes"), "it has no status of its own, so it stands below the table"
    assert written == can_be_sent
    assert len(codes("Problem codes", "code")) == len(written), "each code once"


def test_what_is_never_sent_is_not_written() -> None:
    assert not [code for code in NEVER_SENT if f"`{code}`" in section("Problem codes")]


def test_the_field_table_is_exactly_what_validation_says() -> None:
    assert sorted(codes("Field codes", "code")) == sorted(VALIDATION)


def test_the_warning_table_is_exactly_what_answers_warn_of() -> None:
    assert sorted(codes("How to read it", "warning")) == sorted(WARNINGS)


# ----------------------------------------------------------------------- fields
def documented(title: str) -> dict[str, tuple[str, str]]:
    """Field path -> (type, range)."""
    return {cells[0].strip("`"): (cells[1], cells[2]) for cells in rows(title, "field")}


def of_schema(model: Any, mode: Any) -> dict[str, dict[str, Any]]:
    """Field path -> JSON schema of one value, nested objects and lists of objects walked into."""
    schema = model.model_json_schema(mode=mode)
    found: dict[str, dict[str, Any]] = {}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for name, value in node.get("properties", {}).items():
            resolved = resolve(value)
            found[prefix + name] = resolved
            walk(resolve(resolved.get("items", resolved)), f"{prefix}{name}.")

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        chosen = [item for item in node.get("anyOf", []) if item.get("type") != "null"]
        node = {**node, **chosen[0]} if len(chosen) == 1 else node
        return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    walk(schema, "")
    return found


def expected_range(value: dict[str, Any]) -> str | None:
    """What the range cell must say; None where the schema leaves it open."""
    if "enum" in value:
        return " ".join(f"`{item}`" for item in value["enum"])
    if "minimum" in value:
        return f"{value['minimum']:g} to {value['maximum']:g}"
    if "minLength" in value:
        return f"{value['minLength']} to {value['maxLength']} characters"
    return None


@pytest.mark.parametrize(
    ("title", "model", "mode"),
    [
        ("Analyse a case", AnalyzeRequest, "validation"),
        ("Feedback", FeedbackRequest, "validation"),
        ("The answer", AnalyzeAnswer, "serialization"),
        ("What became of it", FeedbackProgressAnswer, "serialization"),
        ("Runs", LearningRunAnswer, "serialization"),
        ("Versions", VersionsAnswer, "serialization"),
        ("Activate a version", ActivateRequest, "validation"),
    ],
)
def test_every_field_is_written_with_its_type_and_range(title: str, model: Any, mode: str) -> None:
    written, schema = documented(title), of_schema(model, mode)
    assert list(written) == list(schema)
    for path, value in schema.items():
        kind, bounds = written[path]
        if "type" in value:
            assert kind.split(",")[0].split()[0] == value["type"].replace("array", "list"), path
        if (expected := expected_range(value)) is not None:
            assert bounds == expected, path


def test_the_answer_of_a_feedback_has_the_fields_that_are_written() -> None:
    named = ", ".join(f'"{name}"' for name in FeedbackAnswer.model_fields)
    assert f"201 `{{{named}}}`" in section("Feedback")


def test_the_answer_of_the_learning_loop_has_the_fields_that_are_written() -> None:
    written = re.findall(r"`(\w+)` \(", section("Learning").partition("`GET /api/v1/learning`: ")[2].split("\n\n")[0])
    assert written == list(LearningAnswer.model_fields)


def test_the_reasons_are_those_that_exclude_a_row() -> None:
    assert codes("What became of it", "reason") == list(get_args(ExclusionReason)) == list(EXCLUSIONS)
    assert list(get_args(FeedbackOutcome)) == sorted(OUTCOMES, key=list(get_args(FeedbackOutcome)).index)


# ----------------------------------------------------------------------- limits, routes, metrics
def test_limits_are_the_defaults_of_their_settings() -> None:
    written = rows("Media and limits", "setting")
    for name, default, over, *_ in written:
        number, unit = default.split(",")[0].split(" ", 1)
        assert Settings.model_fields[name.strip("`").lower()].default == int(number) * UNITS[unit], name
        assert over.strip("`") in codes("Problem codes", "code")
    limits = {name.upper() for name in Settings.model_fields if name.startswith("max_")}
    others = {"MAX_MEMORY", "MAX_CONNECTIONS"}
    assert {cells[0].strip("`") for cells in written} == limits - others


def test_every_route_is_written() -> None:
    written = {(cells[0], cells[1].strip("`")) for cells in rows("Routes", "method")}
    paths = create_app(settings()).openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert written == routes | {("GET", "/docs"), ("GET", "/openapi.json")}


def test_every_metric_is_written() -> None:
    metrics = Metrics()
    metrics.watch(queue_depth=lambda: 0, ready=lambda: True, refused=lambda: False)
    written = {cells[0].strip("`") for cells in rows("Service routes", "metric")}
    suffix = {"counter": "_total", "info": "_info"}
    found = {
        family.name + suffix.get(family.type, "")
        for family in metrics.registry.collect()
        if family.name.startswith("medmodal_")
    }
    assert written == found


# ----------------------------------------------------------------------- examples
def test_json_in_curl_examples_is_accepted() -> None:
    bodies = re.findall(r"-d '(\{.*?\})'", DOCUMENT, re.DOTALL)
    assert len(bodies) >= 3
    for body in bodies:
        value = json.loads(body)
        models = {"is_correct": FeedbackRequest, "expected": ActivateRequest}
        model = next((found for name, found in models.items() if name in value), AnalyzeRequest)
        model.model_validate(value)


def test_the_answer_that_is_shown_is_one() -> None:
    shown = re.search(r"```json\n(.*?)```", section("The answer"), re.DOTALL)
    assert shown is not None
    answer = AnalyzeAnswer.model_validate_json(shown[1])
    assert answer.metadata.set_size <= len(answer.differential)
    assert sum(answer.metadata.attribution.values()) == pytest.approx(1.0, abs=0.01)
    assert [item.probability for item in answer.differential] == sorted(
        (item.probability for item in answer.differential), reverse=True
    )
