"""The measured part of docs/MODEL_CARD.md, made from the report of scripts/evaluate.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.evaluation.reports import to_markdown

BEGIN, END = "<!-- evaluation: made by scripts/model_card.py -->", "<!-- evaluation: end -->"
WORST = 15
"""Conditions that are listed as known failures."""
_MIN_CASES = 2


def measured_section(report: Mapping[str, Any]) -> str:
    """Figures, and the conditions that are most often missed, as Markdown."""
    lines = [f"`python scripts/evaluate.py --data ../shared/data`, {report['date']}, {report['machine']}.", ""]
    lines += [to_markdown(report).rstrip(), "", "Most often missed, over all text sets together:", ""]
    lines += ["| condition | cases | top-1 | most often taken for |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {row['cases']} | {row['top1']} | {row['most_confused_with']} |"
        for name, row in _worst(report["text_conditions"])
    ]
    return "\n".join(lines)


def with_section(document: str, section: str, begin: str = BEGIN, end: str = END) -> str:
    """The document with the text between the two marks replaced. ValueError where a mark is missing."""
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the document lacks the marks {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"


def _worst(table: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    missed = [(name, row) for name, row in table.items() if row["cases"] >= _MIN_CASES and row["top1"] < 1]
    return sorted(missed, key=lambda item: (item[1]["top1"], -item[1]["cases"], item[0]))[:WORST]
