"""The simulated clinic: which cases it sees, what its clinicians say, when it waits, and what it reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.evaluation.clinic import Clinic, Clinician, is_quiet
from app.evaluation.clinic_cases import DRIFT, STYLES, ClinicCase, PlanOptions, Visit, plan
from app.evaluation.clinic_report import MARKS, measurement, outcome, request_figures, run_summary, section
from app.evaluation.model_card import with_section
from app.evaluation.plots import plot_clinic
from app.evaluation.quality import Answered
from app.knowledge.base import KnowledgeBase
from app.learning.cases import in_gate
from app.training.samples import Sample

WRITTEN = Path(__file__).parents[1] / "quality"
DOCS = Path(__file__).parents[2] / "docs"
PATIENTS = 60
CONDITIONS = ("influenza", "asthma", "gout")


class FakeData:
    """Twenty patients of each of three conditions in every set; a text tells the set and the row."""

    def symptom2disease(self, _split):
        return self._rows("symptom2disease")

    def chest_xrays(self, _split):
        return self._rows("cxr")

    def heart_sounds(self, _split):
        return self._rows("heart")

    def ddxplus(self, _split, styles, *, with_patient):
        assert not with_patient
        return [replace(row, text=f"{row.text} {style}") for row in self._rows("ddxplus") for style in styles]

    def _rows(self, name):
        return [Sample(name, CONDITIONS[row % 3], text=f"{name} {row}") for row in range(PATIENTS)]


class FakeBook:
    def held_out(self):
        return FakeData()._rows("phrasebook")


def make_plan(**options):
    return plan(FakeData(), FakeBook(), WRITTEN, PlanOptions(**{"visits": 100, **options}))


def rows_of(samples) -> set[tuple[str, int]]:
    return {(sample.group, int(sample.text.split()[1])) for sample in samples}


def test_no_case_of_the_gate_set_is_used_and_no_patient_on_both_sides() -> None:
    made = make_plan()
    seen = rows_of(visit.case.sample for visit in made.visits)
    dev = {name: cases for name, cases in made.measured.items() if not name.startswith("written_")}
    measured = rows_of(case.sample for cases in dev.values() for case in cases)
    assert set(dev) == {"symptom2disease", "ddxplus", "phrasebook", "cxr", "heart"}
    assert not seen & measured
    assert not any(in_gate(name, str(row)) for name, row in seen | measured)


def test_both_sides_have_some_of_every_condition() -> None:
    made = make_plan()
    by_condition = {
        name: (
            sum(visit.case.sample.condition_id == name for visit in made.visits),
            sum(case.sample.condition_id == name for case in made.measured["ddxplus"]),
        )
        for name in CONDITIONS
    }
    assert all(seen >= len(STYLES) and measured >= len(STYLES) for seen, measured in by_condition.values())


def test_labels_have_drifted_and_one_in_ten_corrections_is_wrong() -> None:
    made = make_plan()
    drifted = [visit.case for visit in made.visits if visit.case.is_drifted]
    assert {case.sample.condition_id for case in drifted} == {"influenza"}
    assert {case.truth for case in drifted} == {DRIFT["influenza"]}
    assert all(v.case.truth == v.case.sample.condition_id for v in made.visits if not v.case.is_drifted)
    wrong = [visit for visit in made.visits if visit.wrong_correction]
    assert len(wrong) == 10
    assert all(visit.said == visit.wrong_correction != visit.case.truth for visit in wrong)
    written = {case.sample.condition_id: case.truth for case in made.measured["written_ko"]}
    assert {name: truth for name, truth in written.items() if name != truth} == DRIFT


def test_a_plan_is_reproducible_and_refuses_more_visits_than_there_are_cases() -> None:
    assert make_plan() == make_plan()
    assert make_plan(seed=1) != make_plan()
    with pytest.raises(ValueError, match="cases, not 100000"):
        make_plan(visits=100_000)


def test_every_local_meaning_is_understood_by_name() -> None:
    knowledge = KnowledgeBase.load()
    for condition in (*DRIFT, *DRIFT.values()):
        for language in ("en", "ko"):
            assert knowledge.match_condition(knowledge.conditions[condition].name.get(language)) == condition


# --------------------------------------------------------------------------- clinicians
def answer(condition: str, status: str = "ok", version: str = "v1") -> dict[str, Any]:
    return {
        "analysis_id": "an_1",
        "status": status,
        "differential": [{"condition_id": condition, "probability": 0.9}],
        "metadata": {"models": {"fusion": version}, "set_size": 1},
    }


def clinician(answers: list[dict[str, Any]], sent: list[dict[str, Any]], *, feedback_status: int = 201) -> Clinician:
    waiting = iter(answers)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/analyze":
            return httpx.Response(200, json=next(waiting))
        sent.append(json.loads(request.content))
        return httpx.Response(feedback_status, json={})

    client = httpx.Client(transport=httpx.MockTransport(respond), base_url="http://clinic")
    return Clinician(client, lambda condition, language: f"{condition} in {language}")


def case(condition: str = "influenza", language: str = "en") -> ClinicCase:
    sample = Sample("test", condition, text="text", language=language)  # type: ignore[arg-type]
    return ClinicCase(sample, DRIFT.get(condition, condition), condition in DRIFT)


def test_what_a_clinician_says() -> None:
    sent: list[dict[str, Any]] = []
    answers = [answer("influenza"), answer("covid19"), answer("covid19", "insufficient_evidence"), answer("covid19")]
    visits = [Visit(case()), Visit(case()), Visit(case(language="ko")), Visit(case(), "gout")]
    one = clinician(answers, sent)
    one.see(visits)
    assert [row["is_correct"] for row in sent] == [False, True, False, False]
    assert [row.get("corrected_diagnosis") for row in sent] == ["covid19 in en", None, "covid19 in ko", "gout in en"]
    assert one.statuses == {"analyze 200": 4, "feedback 201": 4}


def test_a_request_that_fails_is_counted_and_not_hidden() -> None:
    sent: list[dict[str, Any]] = []
    one = clinician([answer("gout")], sent, feedback_status=507)
    one.see([Visit(case("gout"))])
    assert request_figures(one.statuses) == {
        "by_status": {"analyze 200": 1, "feedback 507": 1},
        "sent": 2,
        "failed": 1,
    }


STATE: dict[str, Any] = {
    "active_run": None,
    "active_version": "v1",
    "serving_version": "v1",
    "last_runs": [{"run_id": "r1", "state": "rejected", "reason": "gate"}],
}


@pytest.mark.parametrize(
    ("change", "quiet"),
    [
        ({}, True),
        ({"last_runs": []}, True),
        ({"active_run": {"run_id": "r2"}}, False),
        ({"active_version": "v2"}, False),
    ],
)
def test_when_the_loop_is_at_rest(change, quiet) -> None:
    assert is_quiet({**STATE, **change}) is quiet


def test_a_failed_run_ends_the_simulation() -> None:
    with pytest.raises(RuntimeError, match="r1 failed: worker_lost"):
        is_quiet({**STATE, "last_runs": [{"run_id": "r1", "state": "failed", "reason": "worker_lost"}]})


def states(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**STATE, "waiting": {"usable": 0}, "threshold": 20, **change} for change in changes]


def clinic_of(learning: list[dict[str, Any]]) -> Clinic:
    """A clinic whose service tells these states of the loop, the last one for ever."""
    left = list(learning)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/learning":
            assert request.headers["Authorization"] == "Bearer admin"
            return httpx.Response(200, json=left.pop(0) if len(left) > 1 else left[0])
        return httpx.Response(200, json=answer("gout", version=f"v{len(left)}"))

    return Clinic(
        "http://clinic", ["one", "two"], "admin", lambda condition, _: condition, httpx.MockTransport(respond)
    )


@pytest.fixture
def at_once(monkeypatch) -> None:
    monkeypatch.setattr("app.evaluation.clinic.POLL_S", 0.0)
    monkeypatch.setattr("app.evaluation.clinic._QUIET_S", 0.05)


@pytest.mark.usefixtures("at_once")
def test_waiting_goes_on_until_the_new_version_answers() -> None:
    busy = {"waiting": {"usable": 20}, "active_run": {"run_id": "r2"}}
    clinic = clinic_of(states(busy, {"active_version": "v9"}, {"active_version": "v9"}, {"active_version": "v1"}))
    settled = clinic.settle([case("gout")], lambda: None, timeout_s=10)
    assert len(settled.swap_s) == 1
    assert settled.versions == ("v3", "v2", "v1")
    assert clinic.statuses() == {"analyze 200": 3}


@pytest.mark.usefixtures("at_once")
def test_rows_that_no_run_wants_are_not_waited_for_for_ever() -> None:
    settled = clinic_of(states({"waiting": {"usable": 25}})).settle([case("gout")], lambda: None, timeout_s=10)
    assert settled.seconds >= 0.05


@pytest.mark.usefixtures("at_once")
def test_waiting_ends_with_the_time_or_with_the_learner() -> None:
    clinic = clinic_of(states({"active_run": {"run_id": "r2"}}))
    with pytest.raises(RuntimeError, match="did not come to rest"):
        clinic.settle([case("gout")], lambda: None, timeout_s=0.05)

    def gone() -> None:
        raise RuntimeError("the learner stopped")

    with pytest.raises(RuntimeError, match="the learner stopped"):
        clinic.settle([case("gout")], gone, timeout_s=10)


# --------------------------------------------------------------------------- the report
def measured(analyses: int, version: str, answered: dict[str, str]) -> dict[str, Any]:
    """`answered`: condition by the catalogue -> what was answered."""
    cases = {"one": [case(name) for name in answered]}
    bodies = [answer(name, version=version) for name in answered.values()]
    return measurement(
        analyses, cases, {"one": [Answered(c.sample, body) for c, body in zip(cases["one"], bodies, strict=True)]}
    )


BEFORE = {"influenza": "influenza", "asthma": "asthma", "gout": "gout", "acne": "gout"}
AFTER = {**BEFORE, "influenza": "covid19"}


def test_accuracy_is_by_the_local_meaning() -> None:
    before, after = measured(0, "v1", BEFORE), measured(100, "v2", AFTER)
    assert before["drifted"] == {"cases": 1, "accuracy": 0.0, "abstained": 0.0}
    assert after["drifted"]["accuracy"] == 1.0
    assert (before["rest"]["cases"], before["rest"]["accuracy"]) == (3, 0.6667)
    assert after["conditions"]["influenza"]["means"] == "covid19"
    assert after["languages"]["en"]["cases"] == 3


def test_one_measurement_is_of_one_version() -> None:
    cases = [case("gout"), case("acne")]
    bodies = [answer("gout", version="v1"), answer("acne", version="v2")]
    answers = [Answered(c.sample, body) for c, body in zip(cases, bodies, strict=True)]
    with pytest.raises(ValueError, match="2 versions"):
        measurement(0, {"one": cases}, {"one": answers})


@pytest.mark.parametrize(
    ("drifted", "rest", "failed", "passed"),
    [(0.30, 0.94, 0, True), (0.29, 0.95, 0, False), (0.9, 0.939, 0, False), (0.9, 0.97, 1, False)],
)
def test_what_counts_as_passed(drifted, rest, failed, passed) -> None:
    rows = [
        {"drifted": {"accuracy": 0.0}, "rest": {"accuracy": 0.95}},
        {"drifted": {"accuracy": drifted}, "rest": {"accuracy": rest}},
    ]
    assert outcome(rows, {"failed": failed})["passed"] is passed


RUN = {
    "run_id": "r1",
    "state": "promoted",
    "trigger": "automatic",
    "attempts": 1,
    "parent_version": "v1",
    "candidate_version": "v2",
    "decision": "promote",
    "reason": None,
    "counts": {"train": 70, "validation": 10, "held_out": 20, "excluded": 4, "excluded_duplicate": 4},
    "started_at": "2026-11-21T10:00:00Z",
    "finished_at": "2026-11-21T10:01:30.500000Z",
}


def report() -> dict[str, Any]:
    measurements = [measured(0, "v1", BEFORE), measured(100, "v2", AFTER)]
    for row in measurements:
        row["languages"]["ko"] = row["languages"]["en"]
    requests = request_figures({"analyze 200": 100, "feedback 201": 100})
    return {
        "date": "2026-11-21",
        "machine": "Linux",
        "settings": {"visits": 100, "clinicians": 4, "wrong_share": 0.1, "drift": dict(DRIFT)},
        "measurements": measurements,
        "runs": [run_summary(RUN)],
        "swap_s": [[1.5], []],
        "requests": requests,
        "outcome": outcome(measurements, requests),
    }


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_document_tells_versions_runs_and_outcome(language) -> None:
    text = section(report(), language)
    assert "| 100 | `v2` | 1.000 (1) | 0.667 (3) | 0.667 | 0.667 |" in text
    assert "| 1 | promoted | 70 | 10 | 20 | 4 | 90.5 |" in text
    assert "+100.0" in text
    assert "2.0 s" in text
    assert MARKS[language][0] not in text


@pytest.mark.parametrize("language", ["en", "ko"])
def test_docs_say_what_was_measured(language) -> None:
    """docs/LEARNING.md is made from docs/learning/clinic.json: nobody edits its figures by hand."""
    found = json.loads((DOCS / "learning/clinic.json").read_text(encoding="utf-8"))
    document = (DOCS / "LEARNING.md").read_text(encoding="utf-8")
    assert with_section(document, section(found, language), *MARKS[language]) == document
    assert found["outcome"] == outcome(found["measurements"], found["requests"])
    assert found["outcome"]["passed"]


def test_the_plot_is_written(tmp_path) -> None:
    plot_clinic(tmp_path / "clinic.png", report()["measurements"])
    assert (tmp_path / "clinic.png").read_bytes()[:4] == b"\x89PNG"
