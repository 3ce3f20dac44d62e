"""Shorthand of notes and measured values: what letters, signs and numbers say, and what they deny.

+ said, - denied, ! must not be read.
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

CASES = [
    ("N/V since last night", "+nausea +vomiting"),
    ("N/V/D x 2 days", "+nausea +vomiting +diarrhea"),
    ("no N/V/D", "-nausea -vomiting -diarrhea"),
    ("denies n/v/d, fever", "-nausea -vomiting -diarrhea -fever"),
    ("D&V for two days", "+diarrhea +vomiting"),
    ("F/C (+/-)", "+fever -chills"),
    ("A/N/V/D/C (-/+/+/-/-)", "-loss_of_appetite +nausea +vomiting -diarrhea -constipation"),
    ("C/S/R (+/+/-)", "+cough +productive_cough -runny_nose"),
    ("plan d/c home, a/c clinic", "!diarrhea !constipation !loss_of_appetite"),
    ("RUQ T/R (+/-)", "+right_upper_quadrant_pain -rebound_tenderness"),
    ("T/RT (+/+) RLQ", "+right_lower_quadrant_pain +rebound_tenderness"),
    ("CVAT (+/-)", "+cva_tenderness"),
    ("양측 CVAT (-/-)", "-cva_tenderness"),
    ("LOC (-), N/V (-/-)", "-loss_of_consciousness -nausea -vomiting"),
    ("dyspnea +, chest pain -", "+dyspnea -chest_pain"),
    ("발열+, 기침-", "+fever -cough"),
    ("Fever: - Cough: +", "-fever +cough"),
    ("(-) fever, (+) cough", "-fever +cough"),
    ("cough - started on Monday", "+cough"),
    ("afebrile, anicteric", "-fever -jaundice"),
    ("temp 36.8, feels tired", "-fever +fatigue"),
    ("열은 36.8도", "-fever"),
    ("열은 정상이에요", "-fever"),
    ("체온 38.2도", "+fever"),
    ("temp of 101.5", "+fever"),
    ("temperature 98.6 F", "-fever"),
    ("어젯밤 39도까지 올랐는데 지금은 36.8도예요", "+fever"),
    ("기온이 38도인 날 밖에서 일했어요", "!fever"),
    ("무릎을 40도 각도로만 굽혀요", "!fever"),
    ("HR 132", "+tachycardia"),
    ("맥박이 130이에요", "+tachycardia"),
    ("생후 3개월 아기 맥박 130", "!tachycardia"),
    ("산소포화도 88", "+hypoxia"),
    ("sats 98% on air", "-hypoxia"),
    ("혈압이 190에 110 나왔어요", "+high_blood_pressure"),
    ("my reading was 232 over 128", "+high_blood_pressure"),
    ("BP 84/50", "+low_blood_pressure"),
    ("혈압 120/80", "!high_blood_pressure !low_blood_pressure"),
    ("pregnancy test came back negative", "-pregnancy"),
    ("임신 테스트 음성이었어요", "-pregnancy"),
    ("임신테스트기 해봤는데 한 줄이에요", "-pregnancy"),
    ("임신 테스트는 아직 안 해봤어요", "!pregnancy"),
    ("I have not done a pregnancy test yet", "!pregnancy"),
    ("임신 테스트 양성 나왔어요", "+pregnancy"),
    ("열 손가락이 다 저려요", "!fever +hand_numbness"),
    ("열두 살 아이예요", "!fever"),
    ("열 두통 기침", "+fever +headache +cough"),
    ("열을 받아서 화가 났어요", "!fever"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=lambda value: str(value)[:50])
def test_shorthand_and_numbers(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    found = {finding.finding_id: finding.present for finding in knowledge.extract_findings(text)}
    for item in expected.split():
        sign, finding_id = item[0], item[1:]
        assert finding_id in knowledge.findings
        assert found.get(finding_id, False) is (sign == "+"), found
        if sign == "-":
            assert finding_id in found


def test_a_slight_rise_is_a_doubtful_fever(knowledge: KnowledgeBase) -> None:
    (fever,) = knowledge.extract_findings("체온 37.6도")
    assert (fever.finding_id, fever.status) == ("fever", "uncertain")


AGES = [
    ("생후 한 달 된 아기가 열이 나요", 1 / 12),
    ("생후 45일 아기", 45 / 365.25),
    ("이제 막 돌 지난 아기가 토해요", 1.1),
    ("백일 된 아기", 100 / 365.25),
    ("태어난 지 20일 됐어요", 20 / 365.25),
    ("my two-month-old baby", 2 / 12),
    ("열두 살 아이", 12),
    ("스물다섯 살 여자", 25),
    ("우리 애 7개월인데 열이 39도", 7 / 12),
    ("8mo male with fever", 8 / 12),
]


@pytest.mark.parametrize(("text", "age"), AGES)
def test_ages_in_words(knowledge: KnowledgeBase, text: str, age: float) -> None:
    assert knowledge.extract_patient(text).age == pytest.approx(age, abs=0.01)


@pytest.mark.parametrize(
    "text",
    ["살이 빠졌어요", "백일 된 아기 젖 먹이는데 제 유방이 아파요", "my breast hurts, I nurse a two-month-old baby"],
)
def test_not_the_patients_age(knowledge: KnowledgeBase, text: str) -> None:
    assert knowledge.extract_patient(text).age is None


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("I've had the runs since Monday", True),
        ("he runs every day", False),
        ("we run a shop", False),
        ("I have run a marathon", False),
    ],
)
def test_the_runs(knowledge: KnowledgeBase, text: str, is_read: bool) -> None:
    assert any(finding.finding_id == "diarrhea" for finding in knowledge.extract_findings(text)) is is_read
