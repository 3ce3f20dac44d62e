"""docs/LEARNING.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest

from app.adaptation import ExclusionReason
from app.learning.gate import Margins
from app.settings import Settings

DOCUMENT = (Path(__file__).parents[2] / "docs/LEARNING.md").read_text(encoding="utf-8")
ENGLISH, KOREAN = DOCUMENT.split("\n# 한국어\n")
MUST_FALL = {"must fall", "줄어야 함"}


def table(text: str) -> dict[str, str]:
    """First cell, without its backticks -> last cell, of every row that begins with a code."""
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("text", [ENGLISH, KOREAN])
def test_margins_of_the_gate(text: str) -> None:
    told = {name: cell for name, cell in table(text).items() if name in asdict(Margins())}
    assert {name: 0.0 if cell in MUST_FALL else float(cell) for name, cell in told.items()} == asdict(Margins())
    assert told["held_out_log_loss"] in MUST_FALL


@pytest.mark.parametrize("text", [ENGLISH, KOREAN])
def test_every_reason_for_not_using_a_verdict(text: str) -> None:
    assert set(get_args(ExclusionReason)) <= {*re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)}


@pytest.mark.parametrize("text", [ENGLISH, KOREAN])
def test_settings_that_guard_and_their_defaults(text: str) -> None:
    told = dict(re.findall(r"`(LEARNING_[A-Z_]+)` \(([\d.]+)\)", text))
    assert {name: float(value) for name, value in told.items()} == {
        name: float(Settings.model_fields[name.lower()].default)
        for name in ("LEARNING_KEY_CAP", "LEARNING_LABEL_SHARE", "LEARNING_CORROBORATION")
    }
    for name in re.findall(r"`((?:LEARNING|LORA)_[A-Z_]+|RETENTION_DAYS|STORE_TEXT|VERSIONS_DIR)\b", text):
        assert name.lower() in Settings.model_fields, name
