"""The change record as people read it."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from app.adaptation import WORKER, AuditEntry
from app.domain import Language
from app.services.change_record import render_markdown
from app.services.change_record_words import HEADINGS, LABELS, PARAGRAPHS

CALLER = "3f" * 32
REPORT: dict[str, Any] = {
    "run_id": "run_7",
    "trigger": "automatic",
    "requested_by": WORKER,
    "created_at": "2026-11-21T08:00:00+00:00",
    "started_at": "2026-11-21T17:00:05+09:00",
    "finished_at": "2026-11-21T08:01:40.250000+00:00",
    "modification": {
        "parent_version": "aaaa",
        "candidate_version": "bbbb",
        "adapter": {
            "r": 8,
            "alpha": 16,
            "dropout": 0.05,
            "target_modules": ["query", "value"],
            "modules_to_save": ["conditions"],
            "trainable_parameters": 12_345,
            "total_parameters": 1_234_567,
        },
        "feedback": {
            "train": 80,
            "earlier": 31,
            "validation": 9,
            "held_out": 20,
            "excluded": {"duplicate": 3, "contradicted": 4},
            "keys": 4,
            "weight_total": 76.5,
            "labels": {"gout": 30, "asthma": 50},
        },
        "redefinitions": [{"from": "gout", "to": "asthma", "rows": 12, "keys": 3}],
        "redefined": ["gout", "measles"],
        "replay": {"cases": 900, "left_out": 17},
        "settings": {"learning_rate": 0.001, "key_cap": 100},
        "code_revision": "c0ffee",
        "service_version": "0.1.0",
        "knowledge_version": "k1",
        "learning_sets": "d" * 64,
    },
    "protocol": {
        "gate_set": {"cases": 700, "digest": "e" * 64},
        "emergencies": {"cases": 160, "digest": "f" * 64},
        "held_out": {"rows": 20, "earlier_rows": 5},
        "margins": {"gate_accuracy": 0.01, "red_flags": 0.0},
        "seed": 11,
        "training": {
            "steps": 400,
            "best_step": 250,
            "train_loss": 0.3,
            "validation_loss": [0.9, 0.41, 0.44],
            "seconds": 61.5,
            "peak_memory_bytes": 512_000_000,
        },
    },
    "impact": {
        "checks": [
            {"name": "gate_accuracy", "serving": 0.95, "candidate": 0.945, "margin": 0.01, "passed": True},
            {"name": "gate_ece", "serving": 0.02, "candidate": 0.015, "margin": 0.02, "passed": True},
            {"name": "held_out_log_loss", "serving": 0.5, "candidate": 0.9, "margin": 0.0, "passed": False},
        ],
        "specialties": [
            {"name": "cardiology", "cases": 40, "serving_loss": 0.2, "candidate_loss": 0.21, "passed": True}
        ],
        "held_out": {
            "rows": 20,
            "serving": {"accuracy": 0.4, "log_loss": 0.5},
            "candidate": {"accuracy": 0.9, "log_loss": 0.9},
        },
        "calibration": {
            "serving": {"temperature": {"text": 1.1}, "coverage": 0.9},
            "candidate": {"temperature": {"text": 1.2, "image": 0.8}, "coverage": 0.9},
        },
    },
    "decision": {"decision": "reject", "reason": "gate_failed", "failed": ["held_out_log_loss"]},
}


def entry(sequence: int, action: str, actor: str) -> AuditEntry:
    at = datetime(2026, 11, 21, 9, 0, sequence, tzinfo=UTC)
    return AuditEntry(sequence, at, actor, action, "bbbb", {"expected": "aaaa"}, "0" * 64, f"{sequence:064d}")


ACTIVATIONS = [entry(4, "version.activating", CALLER), entry(5, "version.activated", "operator")]


def changed(path: str, value: object) -> dict[str, Any]:
    """The report with one value, named by its dotted path, replaced."""
    report = copy.deepcopy(REPORT)
    *parents, last = path.split(".")
    part = report
    for name in parents:
        part = part[name]
    part[last] = value
    return report


def rows(markdown: str) -> list[list[str]]:
    """The cells of every row of every table."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def row(markdown: str, first: str) -> list[str]:
    return next(cells for cells in rows(markdown) if cells[0] == first)


def test_it_says_what_changed_how_with_what_effect_and_who_activated() -> None:
    text = render_markdown(REPORT, "en", ACTIVATIONS)
    assert text.startswith("# Change record `run_7`\n")
    assert row(text, "Started") == ["Started", "2026-11-21 08:00:05"]
    assert row(text, "Trained parameters")[1] == "12,345 / 1,234,567"
    assert row(text, "`asthma`") == ["`asthma`", "50"]
    assert row(text, "the case was counted already")[1] == "3"
    assert ["`gout`", "`asthma`", "12", "3"] in rows(text)
    assert "changed are left out of the replay: `gout`, `measles`" in text
    assert row(text, "Of earlier promoted runs, trained on again")[1] == "31"
    assert row(text, "Emergencies, cases")[1] == "160"
    assert row(text, "Calibration: `temperature text`")[1:] == ["1.1", "1.2"]
    assert row(text, "Calibration: `temperature image`")[1:] == ["not recorded", "0.8"]
    assert row(text, "Calibration: `coverage`")[1:] == ["0.9", "0.9"]
    assert row(text, "Validation loss: first, best, last")[1] == "0.9, 0.41, 0.44"
    assert row(text, "Peak memory, MB")[1] == "512"
    assert row(text, "`gate_accuracy`")[2] == "0.01"
    assert row(text, "expected calibration error") == [
        "expected calibration error", "0.02", "0.015", "-0.0050", "0.02", "yes",
    ]  # fmt: skip
    assert "- Better: expected calibration error\n" in text
    assert "- Worse, within the margin: first condition right, whole gate set\n" in text
    assert "- Beyond the margin: log loss, held-out feedback\n" in text
    assert "**Reject.**" in text
    assert row(text, "2026-11-21 09:00:04")[1:4] == ["activation begun", "`bbbb`", "API key `3f3f3f3f3f3f3f3f`"]
    assert row(text, "2026-11-21 09:00:05")[1:4] == ["activated", "`bbbb`", "an operator at the command line"]


def test_korean_says_the_same() -> None:
    english, korean = (render_markdown(REPORT, language, ACTIVATIONS) for language in ("en", "ko"))
    assert row(korean, "시작") == ["시작", "2026-11-21 08:00:05"]
    assert "**기각.**" in korean
    assert row(korean, "2026-11-21 09:00:04")[1:4] == ["적용 시작", "`bbbb`", "API 키 `3f3f3f3f3f3f3f3f`"]
    assert [len(cells) for cells in rows(english)] == [len(cells) for cells in rows(korean)]
    figures = re.compile(r"(?<![A-Za-z0-9.])\d[\d,.:-]*")
    tables = [" ".join(" ".join(cells) for cells in rows(text)) for text in (english, korean)]
    assert figures.findall(tables[0]) == figures.findall(tables[1])


@pytest.mark.parametrize("language", ["en", "ko"])
def test_tables_are_whole_and_sections_numbered(language: Language) -> None:
    text = render_markdown(REPORT, language, ACTIVATIONS)
    for block in text.split("\n\n"):
        assert len({len(cells) for cells in rows(block)}) <= 1
    assert [line[3] for line in text.splitlines() if line.startswith("## ")] == list("12345")
    assert [line[4:7] for line in text.splitlines() if line.startswith("### ")] == [
        "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4",
    ]  # fmt: skip


def test_what_is_missing_is_said_to_be_missing() -> None:
    text = render_markdown({"run_id": "run_8"}, "en", [])
    assert row(text, "Candidate version")[1] == "not recorded"
    assert row(text, "Validation loss: first, best, last")[1] == "not recorded"
    assert "No decision is recorded." in text
    assert "No activation had been recorded" in text


@pytest.mark.parametrize("path", ["patient", "modification.text", "impact.note", "decision.comment", "protocol.words"])
def test_only_named_fields_are_shown(path: str) -> None:
    assert render_markdown(changed(path, "58-year-old man"), "en", ACTIVATIONS) == render_markdown(
        REPORT, "en", ACTIVATIONS
    )


def test_details_of_the_audit_log_and_whole_digests_of_callers_stay_out() -> None:
    text = render_markdown({**REPORT, "requested_by": CALLER}, "en", ACTIVATIONS)
    assert "expected" not in text.replace("expected calibration error", "")
    assert CALLER[:17] not in text


@pytest.mark.parametrize(
    "hostile",
    ["a | b", "`|`", "<script>alert(1)</script>", "x\n\n# Heading", "[a](javascript:b)", "| |\\", "가" * 5000, " "],
)
def test_values_cannot_become_markup(hostile: str) -> None:
    plain, text = (render_markdown(changed("decision.reason", value), "en", []) for value in ("x", hostile))
    assert [len(cells) for cells in rows(text)] == [len(cells) for cells in rows(plain)]
    assert len(text.splitlines()) == len(plain.splitlines())
    (cell,) = [cells[1] for cells in rows(text) if cells[0] == "Reason"]
    assert re.fullmatch(r"`[^`]{1,162}`", cell)


def test_who_asked() -> None:
    asked = [row(render_markdown({**REPORT, "requested_by": by}, "en", []), "Requested by")[1] for by in ("", WORKER)]
    assert asked == ["a local caller without a key", "the learning worker"]


def test_the_same_after_storage() -> None:
    assert render_markdown(json.loads(json.dumps(REPORT)), "ko", []) == render_markdown(REPORT, "ko", [])


def test_every_phrase_is_in_both_languages() -> None:
    for phrase in (*HEADINGS.values(), *PARAGRAPHS.values(), *LABELS.values()):
        assert re.search("[가-힣]", phrase.ko), phrase
        assert not re.search("[가-힣]", phrase.en), phrase
