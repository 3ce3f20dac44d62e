"""Ages, sexes and vital signs read from text, and what must not be read as one."""

from __future__ import annotations

import pytest

from app.domain import Patient, Vitals
from app.knowledge.patient_text import extract_patient

READ = [
    ("A 45-year-old man with chest pain", Patient(age=45, sex="male")),
    ("I'm a 34 year old woman", Patient(age=34, sex="female")),
    ("72 yo female, confused", Patient(age=72, sex="female")),
    ("F/72 dyspnea", Patient(age=72, sex="female")),
    ("56M with fever", Patient(age=56, sex="male")),
    ("6-month-old boy", Patient(age=0.5, sex="male")),
    ("a 3 week old baby girl", Patient(age=0.057, sex="female")),
    ("35세 여성입니다", Patient(age=35, sex="female")),
    ("62살 남자예요", Patient(age=62, sex="male")),
    ("만 7세 남아", Patient(age=7, sex="male")),
    ("생후 6개월 여아", Patient(age=0.5, sex="female")),
    ("남/58 흉통", Patient(age=58, sex="male")),
    ("60대 남성 환자", Patient(age=65, sex="male")),
    ("저는 여자입니다", Patient(sex="female")),
    ("I am a man, 50 years old", Patient(age=50, sex="male")),
    ("BP 150/90", Patient(vitals=Vitals(sbp=150, dbp=90))),
    ("혈압이 150/90이에요", Patient(vitals=Vitals(sbp=150, dbp=90))),
    ("my blood pressure is 88 over 50", Patient(vitals=Vitals(sbp=88, dbp=50))),
    ("수축기 혈압 85", Patient(vitals=Vitals(sbp=85))),
    ("HR 110, RR 24", Patient(vitals=Vitals(heart_rate=110, respiratory_rate=24))),
    ("맥박 112회, 호흡수 22회", Patient(vitals=Vitals(heart_rate=112, respiratory_rate=22))),
    ("SpO2 91%", Patient(vitals=Vitals(spo2=91))),
    ("산소포화도가 88% 나왔어요", Patient(vitals=Vitals(spo2=88))),
    ("체온 38.5도", Patient(vitals=Vitals(temperature=38.5))),
    ("열이 39도까지 올랐어요", Patient(vitals=Vitals(temperature=39))),
    ("38.2℃", Patient(vitals=Vitals(temperature=38.2))),
    ("temperature of 101.3 F", Patient(vitals=Vitals(temperature=38.5))),
    ("my fever is 102", Patient(vitals=Vitals(temperature=38.9))),
    ("pain 8/10", Patient(pain=8)),
    ("통증이 7/10 정도예요", Patient(pain=7)),
    (
        "68/M BP 92/60 HR 128 RR 30 BT 39.1 SpO2 87%",
        Patient(age=68, sex="male", vitals=Vitals(92, 60, 128, 30, 39.1, 87)),
    ),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[case[0] for case in READ])
def test_read(text: str, expected: Patient) -> None:
    assert extract_patient(text) == expected


IGNORED = [
    "",
    "I have had a cough for 3 weeks",
    "BP 15/90",
    "BP 90/150",
    "혈압 900/400",
    "HR 5",
    "HR 999",
    "SpO2 130%",
    "SpO2 3%",
    "체온 55도",
    "열이 3일째예요",
    "열이 10일 났어요",
    "fever for 10 days",
    "fever for 38 hours",
    "a 300-year-old man of stone",
    "my 70 year old mother has diabetes",
    "70세 어머니가 당뇨예요",
    "살이 5kg 빠졌어요",
    "12살 때 수술했어요",
    "무릎을 45도 굽히면",
    "room 120/80",
    "pain 80/100",
    "남/녀 모두",
    "5/10 스쿼트",
    "I can walk 10 m",
    "took 5 mg",
    "room 12F, flat 3 M",
]


@pytest.mark.parametrize("text", IGNORED)
def test_ignored(text: str) -> None:
    read = extract_patient(text)
    assert read.age is None
    assert read.vitals == Vitals()
    assert read.pain is None


def test_two_sexes_are_none() -> None:
    assert extract_patient("a 30-year-old woman and a 40-year-old man").sex is None
