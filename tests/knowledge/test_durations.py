"""How long: what a text says, in days, and which finding it says it of."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

TOLD = [
    ("I've had a fever for three days.", "fever", 3.0),
    ("Headache since yesterday.", "headache", 1.0),
    ("For the past two weeks I have been tired.", "fatigue", 14.0),
    ("3-day history of vomiting.", "vomiting", 3.0),
    ("My knee started to hurt 6 months ago.", "knee_pain", 180.0),
    ("A fever for two days and a sore throat since this morning.", "sore_throat", 0.5),
    ("A fever for two days and a sore throat since this morning.", "fever", 2.0),
    ("Chest pain for half an hour.", "chest_pain", 0.5 / 24),
    ("I have a rash. The fever has lasted for a week.", "rash", None),
    ("A 3-month-old with a fever.", "fever", None),
    ("No fever for two days.", "fever", None),
    ("사흘째 열이 나요.", "fever", 3.0),
    ("2주 전부터 허리가 아파요.", "low_back_pain", 14.0),
    ("어제부터 설사를 해요.", "diarrhea", 1.0),
    ("열이 난 지 오래됐어요. 콧물은 닷새째예요.", "runny_nose", 5.0),
    ("열이 난 지 오래됐어요. 콧물은 닷새째예요.", "fever", None),
    ("한 달 전부터 피곤하고 어제부터는 두통이 있어요.", "fatigue", 30.0),
    ("한 달 전부터 피곤하고 어제부터는 두통이 있어요.", "headache", 1.0),
    ("세 시간 전부터 배가 아파요.", "abdominal_pain", 3 / 24),
    ("기침이 열흘 동안 계속돼요.", "cough", 10.0),
    ("오늘 아침부터 어지러워요.", "dizziness", 0.5),
    ("두통 3일간 지속", "headache", 3.0),
]


@pytest.mark.parametrize(("text", "finding_id", "days"), TOLD)
def test_duration(knowledge: KnowledgeBase, text: str, finding_id: str, days: float | None) -> None:
    told = {finding.finding_id: finding.duration_days for finding in knowledge.extract_findings(text)}
    assert finding_id in told
    assert told[finding_id] == (None if days is None else pytest.approx(days))
