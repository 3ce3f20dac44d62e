"""Infections, blood, liver and the nerves of the face as people and charts tell them, and what only looks like them."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

READ = [
    ("흰자가 누래지고 입맛이 떨어졌어요", "jaundice", "present"),
    ("she has gone yellow and is off her food", "jaundice", "present"),
    ("검사해 보니 PLT 41k, WBC 1,900", "low_platelets", "present"),
    ("bloods: plt 48, WCC 1.4", "low_white_cells", "present"),
    ("Hb 6.9, MCV 62", "low_hemoglobin", "present"),
    ("얼음이 자꾸 당겨요", "ice_craving", "present"),
    ("가래에 피가 실처럼 섞여 나왔어요", "hemoptysis", "present"),
    ("my sheets are sodden every morning", "night_sweats", "present"),
    ("저녁이면 양말 자국이 깊게 남아요", "leg_swelling", "present"),
    ("국수를 먹으면 국물이 입 한쪽으로 새요", "facial_droop", "present"),
    ("both eyebrows went up when he tried", "forehead_spared", "present"),
    ("고개가 오른쪽으로 홱 돌아가요", "torticollis", "present"),
    ("it comes at the same time every night", "same_time_daily", "present"),
    ("between bouts I feel normal", "well_between_attacks", "present"),
    ("자가검사 키트에서 두 줄이 나왔습니다", "positive_covid_test", "present"),
    ("목이 판자처럼 뻣뻣해요", "neck_stiffness", "present"),
    ("non-itchy rash over the trunk", "rash_on_trunk", "present"),
    ("hardly any cough", "cough", "absent"),
    ("nil melaena", "melena", "absent"),
    ("sore throat without exudate, oral ulcers", "mouth_ulcers", "present"),
    ("건성 기침, 편도 삼출 없음", "dry_cough", "present"),
    ("눈두덩이 부었는데 별로 아프지 않아요", "eyelid_swelling", "present"),
    ("no pain, just itching", "pruritus", "present"),
    ("strep negative, leucopenia", "low_white_cells", "present"),
]
NOT_MEANT = [
    ("소변이 시커먼 색이에요", "melena"),
    ("명치가 계속 불편해요", "bloating"),
    ("경련처럼 떨리지는 않아요", "seizure"),
    ("고추농사를 지어요", "genital_ulcer"),
    ("창피해서 어디 말도 못 하고 있어요", "aphasia"),
    ("저녁에 쓰러지듯 누웠어요", "loss_of_consciousness"),
    ("a faint line on the strip", "syncope"),
    ("the stools won't flush", "flushing"),
    ("she is an aid worker", "hiv_infection"),
    ("it looks like a cigarette burn", "smoking"),
    ("a low temperature all day", "fever"),
    ("phlegm turned yellow", "jaundice"),
]
FLAGGED = [
    ("콩고에서 시신을 만졌고 열이 39도예요", "possible_viral_haemorrhagic_fever"),
    ("back from Kenya, fever of 39.5 and violent shivering", "tropical_fever_danger"),
    ("four month old, fever 39.4, her soft spot is bulging", "bulging_soft_spot"),
]


@pytest.mark.parametrize(("text", "finding_id", "status"), READ)
def test_read(knowledge: KnowledgeBase, text: str, finding_id: str, status: str) -> None:
    assert (finding_id, status) in [(found.finding_id, found.status) for found in knowledge.extract_findings(text)]


@pytest.mark.parametrize(("text", "finding_id"), NOT_MEANT)
def test_not_meant(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert finding_id not in [found.finding_id for found in knowledge.extract_findings(text)]


@pytest.mark.parametrize(("text", "flag_id"), FLAGGED)
def test_flagged(knowledge: KnowledgeBase, text: str, flag_id: str) -> None:
    flags = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text), "en")
    assert flag_id in [flag.flag_id for flag in flags]
