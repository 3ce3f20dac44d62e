"""Figures of answered sets, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.domain import Patient
from app.evaluation.metrics import conformal_figures, expected_calibration_error, reliability_bins
from app.evaluation.pairs import paired_samples
from app.evaluation.plots import plot_reliability
from app.evaluation.quality import Answered
from app.evaluation.reports import (
    age_group_of,
    by_group,
    calibration_report,
    condition_report,
    language_of,
    sex_of,
    to_markdown,
    triage_by_group,
    triage_report,
)
from app.training.samples import Sample


def answered(truth, ranked, confidence=0.9, size=1, status="ok", triage=3, **sample):
    body = {
        "status": status,
        "differential": [{"condition_id": name, "probability": confidence} for name in ranked],
        "metadata": {"set_size": size},
        "risk": {"triage": triage},
    }
    return Answered(Sample("test", truth, "text", **sample), body)


ANSWERS = [
    answered("a", ["a", "b", "c"], language="ko", patient=Patient(age=30, sex="female")),
    answered("a", ["b", "a", "c"], 0.6, 2, language="en", patient=Patient(age=70, sex="male")),
    answered("b", ["b", "a", "c"], 0.8, language="en"),
    answered("c", ["b", "a", "c"], 0.4, 2, "insufficient_evidence", language="ko", patient=Patient(age=17.5)),
]


def test_a_set() -> None:
    report = condition_report(ANSWERS)
    assert (report["cases"], report["top1"], report["top3"], report["abstained"]) == (4, 0.5, 1.0, 0.25)
    assert (report["coverage"], report["set_size"]) == (0.75, 1.5)
    assert report["conditions"] == {
        "a": {"cases": 2, "top1": 0.5, "most_confused_with": "b"},
        "b": {"cases": 1, "top1": 1.0, "most_confused_with": None},
        "c": {"cases": 1, "top1": 0.0, "most_confused_with": "b"},
    }


def test_groups() -> None:
    assert {name: row["top1"] for name, row in by_group(ANSWERS, language_of).items()} == {"en": 0.5, "ko": 0.5}
    assert {name: row["cases"] for name, row in by_group(ANSWERS, sex_of).items()} == {
        "female": 1,
        "male": 1,
        "not given": 2,
    }
    assert [age_group_of(answer) for answer in ANSWERS] == ["18-39", "65-130", "not given", "0-17"]


@pytest.mark.parametrize(("age", "group"), [(0, "0-17"), (17.9, "0-17"), (18, "18-39"), (64, "40-64"), (130, "65-130")])
def test_every_age_has_a_group(age: float, group: str) -> None:
    assert age_group_of(answered("a", ["a"], patient=Patient(age=age))) == group


def test_calibration_of_all_texts() -> None:
    report = calibration_report(ANSWERS)
    assert report["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.4) / 4)
    assert [row["cases"] for row in report["bins"]] == [1, 1, 1, 1]
    assert (report["coverage"], report["set_size"]) == (0.75, 1.5)


def test_bins_hold_every_case_and_make_the_error() -> None:
    rng = np.random.default_rng(0)
    confidence = np.append(rng.random(500), 1.0)
    correct = rng.random(501) < confidence
    rows = reliability_bins(confidence, correct)
    assert sum(row.cases for row in rows) == 501
    assert all(row.lower <= row.confidence <= row.upper for row in rows)
    error = sum(row.cases * abs(row.accuracy - row.confidence) for row in rows) / 501
    assert expected_calibration_error(confidence, correct) == pytest.approx(error)


def test_a_conformal_set_that_is_cut_off_does_not_cover() -> None:
    assert conformal_figures(["a", "b"], [["b", "a"], ["b"]], [1, 3]) == {"coverage": 0.5, "set_size": 2.0}


def test_pairs_have_three_forms_of_the_same_cases() -> None:
    pictures = [
        Sample("cxr", name, image=Path(f"{name}{n}.png")) for name in ("pneumonia", "no_finding") for n in (0, 1)
    ]
    texts = [Sample("text", "pneumonia", "cough and fever"), Sample("text", "migraine", "headache")]
    forms = paired_samples(pictures, texts)
    assert [sample.image for sample in forms["both"]] == [Path("pneumonia0.png"), Path("pneumonia1.png")]
    assert [sample.text for sample in forms["both"]] == ["cough and fever"] * 2
    assert all(sample.text is None for sample in forms["picture"])
    assert all(sample.image is None for sample in forms["text"])
    assert paired_samples(pictures, texts) == forms


def test_the_report_for_people(tmp_path: Path) -> None:
    report = {
        "sets": {"one": condition_report(ANSWERS), "visits": triage_report([answered("a", ["a"], triage=2)])},
        "texts": calibration_report(ANSWERS),
        "groups": {"language": by_group(ANSWERS, language_of)},
        "pairs": {"both": condition_report(ANSWERS)},
        "triage_groups": triage_by_group([answered("a", ["a"], triage=2)] * 10, [sex_of]),
    }
    text = to_markdown(report)
    assert "| one | 4 | 0.5 | 1.0 | 1.0 |" in text
    assert "All 4 texts together: ECE 0.325, coverage 0.75, mean set size 1.5." in text
    assert "Texts by language:" in text
    assert "| both | 4 |" in text
    assert "| all | 1 |" in text
    assert "| not given | 10 |" in text
    assert triage_by_group([answered("a", ["a"], triage=2)] * 9, [sex_of]) == {}
    plot_reliability(tmp_path / "reliability.png", report["texts"]["bins"])
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
