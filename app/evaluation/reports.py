"""Figures of answered sets: per set, per group of patients, over all texts, and as Markdown."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.evaluation.metrics import (
    conformal_figures,
    expected_calibration_error,
    ranking_figures,
    reliability_bins,
    triage_figures,
)
from app.evaluation.quality import Answered

MIN_GROUP = 10
"""A kappa of fewer cases says nothing."""
AGE_GROUPS = ((0, 17), (18, 39), (40, 64), (65, 130))
_COLUMNS = ("cases", "top1", "top3", "top5", "macro_f1", "ece", "coverage", "set_size", "abstained")
_TRIAGE_COLUMNS = (
    "cases",
    "quadratic_weighted_kappa",
    "exact",
    "under_triage",
    "under_triage_by_2",
    "over_triage_by_2",
)
_TRIAGE_HEAD = "| | cases | kappa (quadratic) | exact | under-triage | by 2 or more | over-triage by 2 or more |"
_HEAD = "| | cases | top-1 | top-3 | top-5 | macro-F1 | ECE | coverage | set size | abstained |"


def condition_report(answers: Sequence[Answered]) -> dict[str, Any]:
    """Ranking, calibration, the conformal set, abstentions and a per-condition table, for samples whose condition is
    known."""
    return {**summary(answers), "conditions": condition_table(answers)}


def summary(answers: Sequence[Answered]) -> dict[str, Any]:
    """The same without the table."""
    truth, ranked = [str(answer.sample.condition_id) for answer in answers], [answer.ranked for answer in answers]
    return {
        **ranking_figures(truth, ranked, [answer.confidence for answer in answers]),
        **conformal_figures(truth, ranked, [answer.set_size for answer in answers]),
        "abstained": round(float(np.mean([answer.body["status"] != "ok" for answer in answers])), 4),
    }


def condition_table(answers: Sequence[Answered]) -> dict[str, dict[str, Any]]:
    """Condition -> cases, share answered right, and what it is most often taken for."""
    rows = sorted(((str(answer.sample.condition_id), answer.ranked[0]) for answer in answers), key=lambda row: row[0])
    table = {}
    for condition, group in itertools.groupby(rows, key=lambda row: row[0]):
        first = [guess for _, guess in group]
        missed = [guess for guess in first if guess != condition]
        table[condition] = {
            "cases": len(first),
            "top1": round(1 - len(missed) / len(first), 3),
            "most_confused_with": max(set(missed), key=missed.count) if missed else None,
        }
    return table


def triage_report(answers: Sequence[Answered]) -> dict[str, Any]:
    return triage_figures(
        [int(answer.sample.triage or 0) for answer in answers], [int(a.body["risk"]["triage"]) for a in answers]
    )


def triage_by_group(
    answers: Iterable[Answered], keys: Iterable[Callable[[Answered], str]]
) -> dict[str, dict[str, Any]]:
    """`triage_report` of the answers that share a key, for each of several keys; groups of a few cases are left out."""
    groups: dict[str, list[Answered]] = defaultdict(list)
    for key in keys:
        for answer in answers:
            groups[key(answer)].append(answer)
    return {name: triage_report(group) for name, group in sorted(groups.items()) if len(group) >= MIN_GROUP}


def by_group(answers: Iterable[Answered], key: Callable[[Answered], str]) -> dict[str, dict[str, Any]]:
    """`summary` of the answers that share a key."""
    groups: dict[str, list[Answered]] = defaultdict(list)
    for answer in answers:
        groups[key(answer)].append(answer)
    return {name: summary(group) for name, group in sorted(groups.items())}


def language_of(answer: Answered) -> str:
    return answer.sample.language


def sex_of(answer: Answered) -> str:
    return answer.sample.patient.sex or "not given"


def age_group_of(answer: Answered) -> str:
    age = answer.sample.patient.age
    if age is None:
        return "not given"
    return next(f"{low}-{high}" for low, high in AGE_GROUPS if age < high + 1)


def calibration_report(answers: Sequence[Answered]) -> dict[str, Any]:
    """Expected calibration error, reliability bins and the conformal set over many sets together."""
    confidence = np.array([answer.confidence for answer in answers])
    correct = np.array([answer.is_right for answer in answers])
    truth, ranked = [str(answer.sample.condition_id) for answer in answers], [answer.ranked for answer in answers]
    return {
        "cases": len(answers),
        "ece": round(expected_calibration_error(confidence, correct), 4),
        **conformal_figures(truth, ranked, [answer.set_size for answer in answers]),
        "bins": [asdict(row) for row in reliability_bins(confidence, correct)],
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """Sets, groups and triage as tables; the per-condition tables stay in the JSON."""
    rule = "|---" * (len(_COLUMNS) + 1) + "|"
    lines = [_HEAD, rule]
    lines += [_row(name, row) for name, row in report["sets"].items() if "top1" in row]
    if "texts" in report:
        texts = report["texts"]
        lines += ["", f"All {texts['cases']} texts together: ECE {texts['ece']}, coverage {texts['coverage']}, "]
        lines[-1] += f"mean set size {texts['set_size']}."
    for name, groups in report.get("groups", {}).items():
        lines += ["", f"Texts by {name}:", "", _HEAD, rule, *(_row(group, row) for group, row in groups.items())]
    if report.get("pairs"):
        lines += ["", "A chest X-ray and a text of the same condition (synthetic pairs), and either alone:", "", _HEAD]
        lines += [rule, *(_row(name, row) for name, row in report["pairs"].items())]
    if "written" in report:
        lines += _written_lines(report["written"])
    for name, row in report["sets"].items():
        if "top1" not in row:
            lines += ["", f"Triage, {name}, and by group:", "", _TRIAGE_HEAD, "|---" * (len(_TRIAGE_COLUMNS) + 1) + "|"]
            lines += [_triage_row("all", row)]
            lines += [_triage_row(group, one) for group, one in report.get("triage_groups", {}).items()]
    return "\n".join(lines) + "\n"


def _written_lines(written: Mapping[str, Any]) -> list[str]:
    lines = ["", "Written by hand (tests/quality):", "", "| | cases | share |", "|---|---|---|"]
    for name in ("emergencies", "harmless"):
        for language, row in written[name].items():
            lines.append(f"| {name}, {language}: level high or critical | {row['cases']} | {row['urgent']} |")
    for kind, row in written["non_medical"].items():
        lines.append(f"| no case, {kind}: abstained | {row['cases']} | {row['abstained']} |")
    for name, row in written["invariance"].items():
        lines.append(f"| other {name}: first condition unchanged | {row['cases']} | {row['unchanged']} |")
    return lines


def _triage_row(name: str, row: Mapping[str, Any]) -> str:
    return f"| {name} | " + " | ".join(str(row[column]) for column in _TRIAGE_COLUMNS) + " |"


def _row(name: str, row: Mapping[str, Any]) -> str:
    return f"| {name} | " + " | ".join(str(row[column]) for column in _COLUMNS) + " |"
