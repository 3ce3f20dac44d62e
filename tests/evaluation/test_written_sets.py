"""The written sets against a stand-in service whose answers are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.evaluation.reports import to_markdown
from app.evaluation.written_sets import written_report

QUALITY = Path(__file__).parents[1] / "quality"


class StandIn:
    """Answers from a rule instead of a model, and keeps what it was asked."""

    def __init__(self, rule):
        self.rule = rule
        self.asked = []

    def post_all(self, bodies, name):
        self.asked += bodies
        return [self.rule(body) for body in bodies]

    def ask(self, samples, name, request):
        from app.evaluation.quality import Answered

        return [Answered(sample, self.rule(request(sample))) for sample in samples]


def answer(first="pneumonia", level="low", status="ok"):
    return {
        "status": status,
        "differential": [{"condition_id": first, "probability": 0.5}],
        "metadata": {"set_size": 1},
        "risk": {"level": level, "triage": 4},
    }


def test_one_answer_to_everything() -> None:
    report = written_report(StandIn(lambda _body: answer()), QUALITY)
    assert [report[name][language]["urgent"] for name in ("emergencies", "harmless") for language in ("ko", "en")] == [
        0
    ] * 4
    assert report["emergencies"]["ko"]["cases"] >= 80
    assert report["non_medical"]["all"]["abstained"] == 0
    assert report["non_medical"]["all"]["cases"] >= 100
    assert set(report["non_medical"]) == {"all", "text", "image", "audio", "video"}
    assert report["invariance"]["patients"]["unchanged"] == report["invariance"]["synonyms"]["unchanged"] == 1


def test_a_service_that_minds_who_asks_and_how() -> None:
    def rule(body):
        patient = body.get("patient", {})
        first = "gout" if patient.get("sex") == "male" else "pneumonia"
        return answer(f"{first} {len(body.get('text', ''))}", level="critical", status="insufficient_evidence")

    report = written_report(StandIn(rule), QUALITY, limit=3)
    assert report["emergencies"]["en"] == {
        "cases": 3,
        "urgent": 1.0,
        "urgent_ids": report["emergencies"]["en"]["urgent_ids"],
        "other_ids": [],
    }
    assert report["non_medical"]["text"] == {"cases": 3, "abstained": 1.0, "answered_ids": []}
    assert report["invariance"]["patients"]["unchanged"] == 0
    assert len(report["invariance"]["patients"]["changed_ids"]) == 6


@pytest.mark.parametrize("status", ["ok", "insufficient_evidence"])
def test_the_tables(status: str) -> None:
    report = written_report(StandIn(lambda _body: answer(status=status)), QUALITY, limit=2)
    text = to_markdown({"sets": {}, "written": report})
    assert "| emergencies, en: level high or critical | 2 | 0.0 |" in text
    assert f"| no case, text: abstained | 2 | {0.0 if status == 'ok' else 1.0} |" in text
    assert "| other synonyms: first condition unchanged | 2 | 1.0 |" in text
