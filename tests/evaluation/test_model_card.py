import json
from pathlib import Path

import pytest

from app.evaluation.model_card import BEGIN, END, measured_section, with_section

ROOT = Path(__file__).parents[2]


def test_the_card_says_what_was_measured() -> None:
    """docs/MODEL_CARD.md is made from docs/evaluation/evaluation.json: nobody edits its figures by hand."""
    report = json.loads((ROOT / "docs/evaluation/evaluation.json").read_text(encoding="utf-8"))
    card = (ROOT / "docs/MODEL_CARD.md").read_text(encoding="utf-8")
    assert with_section(card, measured_section(report)) == card


def test_the_worst_conditions_come_first() -> None:
    table = {
        "gout": {"cases": 4, "top1": 0.5, "most_confused_with": "arthritis"},
        "croup": {"cases": 4, "top1": 1.0, "most_confused_with": None},
        "sepsis": {"cases": 4, "top1": 0.25, "most_confused_with": "pneumonia"},
        "scabies": {"cases": 1, "top1": 0.0, "most_confused_with": "urticaria"},
    }
    section = measured_section({"date": "d", "machine": "m", "sets": {}, "text_conditions": table})
    rows = [line for line in section.splitlines() if line.startswith(("| gout", "| croup", "| sepsis", "| scabies"))]
    assert rows == ["| sepsis | 4 | 0.25 | pneumonia |", "| gout | 4 | 0.5 | arthritis |"]


def test_only_what_stands_between_the_marks_changes() -> None:
    card = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_section(card, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks the marks"):
        with_section("no marks", "new")
