"""Every code that can be raised has its sentence in both languages, and one status."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app import errors
from app.api.messages.learning import EXCLUSIONS, OUTCOMES
from app.api.messages.problems import PROBLEMS, TITLES
from app.api.messages.text import Message
from app.api.messages.validation import VALIDATION
from app.api.messages.warnings import NOTICES, WARNINGS
from app.api.problems import STATUS, status_of
from app.errors import AppError, ArtifactError

APP = Path(__file__).parents[2] / "app"
KINDS = ("image", "audio", "video")
OFFLINE = {"conversion", "learning", "training", "evaluation"}
ERROR_CLASSES = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, AppError) and not issubclass(value, ArtifactError)
} - {"AppError"}


class Raised(NamedTuple):
    """A call like `NotFoundError("analysis_not_found", ...)` in the source."""

    code: str
    params: frozenset[str]
    where: str


def raised() -> Iterator[Raised]:
    """Every problem code in the service's source, with the parameters that it is given."""
    for path in sorted(APP.rglob("*.py")):
        if path.relative_to(APP).parts[0] in OFFLINE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in ERROR_CLASSES and node.args:
                params = frozenset(keyword.arg or "**" for keyword in node.keywords)
                for code in _codes(node.args[0], constants):
                    yield Raised(code, params, f"{path.relative_to(APP)}:{node.lineno}")


def _constants(tree: ast.Module) -> dict[str, str]:
    """Module-level names of strings, also where several are assigned at once."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        names = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else [node.targets[0]]
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for name, value in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[name.id] = value.value
    return found


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def _codes(argument: ast.expr, constants: dict[str, str]) -> list[str]:
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.Name):  # a constant of this module, or a variable that such constants are put into
        return [constants[argument.id]] if argument.id in constants else []
    if isinstance(argument, ast.JoinedStr):  # f"{self.kind}_empty"
        tail = argument.values[-1]
        if isinstance(tail, ast.Constant):
            return [f"{kind}{tail.value}" for kind in KINDS]
    return []


RAISED = sorted(set(raised()))


def test_the_scan_finds_what_is_known_to_be_there() -> None:
    codes = {item.code for item in RAISED}
    assert {"queue_full", "case_empty", "media_base64_invalid", "image_empty", "analysis_not_found"} <= codes
    assert len(codes) > 40


@pytest.mark.parametrize("item", RAISED, ids=lambda item: f"{item.code}-{item.where}")
def test_a_raised_code_has_its_sentence_and_the_parameters_for_it(item: Raised) -> None:
    assert item.code in PROBLEMS, item
    if "**" not in item.params:
        assert placeholders(PROBLEMS[item.code].en) <= item.params, item


def calls(method: str) -> Iterator[tuple[str, str]]:
    """(first argument, place) of every call of a method with that name."""
    for path in sorted(APP.rglob("*.py")):
        if path.relative_to(APP).parts[0] in OFFLINE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
            if called and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value), f"{path.relative_to(APP)}:{node.lineno}"


def test_codes_that_media_errors_build_from_a_suffix() -> None:
    found = list(calls("invalid"))
    assert found
    for suffix, where in found:
        assert any(f"{kind}_{suffix}" in PROBLEMS for kind in KINDS), where


def test_warnings_of_the_predictor_are_worded() -> None:
    found = [(code, where) for code, where in calls("append") if where.startswith("fusion/")]
    assert found
    for code, where in found:
        assert code in WARNINGS, where


@pytest.mark.parametrize("code", ["storage_full", "storage_locked", "storage_unavailable"])
def test_codes_that_are_chosen_from_a_table(code: str) -> None:
    assert code in PROBLEMS


@pytest.mark.parametrize("catalogue", [PROBLEMS, VALIDATION, WARNINGS, NOTICES, OUTCOMES, EXCLUSIONS, TITLES])
def test_both_languages_say_the_same_with_the_same_parameters(catalogue: dict[object, Message]) -> None:
    for code, message in catalogue.items():
        assert message.en.strip(), code
        assert any("가" <= letter <= "힣" for letter in message.ko), code
        assert placeholders(message.en) == placeholders(message.ko), code


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_error_class_has_one_status_and_a_title() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, AppError)}
    assert set(STATUS) == {kind for kind in classes if AppError in kind.__bases__}, "what is below has its parent's"
    assert len(set(STATUS.values())) == len(STATUS), "one status says one thing"
    assert set(STATUS.values()) | {405, 421} == set(TITLES)


def test_a_subclass_has_its_parents_status() -> None:
    class NarrowError(errors.StorageError):
        pass

    assert status_of(NarrowError("storage_full")) == 507
    assert status_of(AppError("x")) == 500
