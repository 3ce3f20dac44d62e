"""Emergencies as they are told, in both languages: which flag must be up, and what must not raise it."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

RAISED = [
    ("suicidal_ideation", "I don't want to live anymore"),
    ("suicidal_ideation", "죽고 싶다는 생각이 들어요"),
    ("suicide_plan", "I wrote a suicide note last night"),
    ("suicide_plan", "유서를 써 놓았어요"),
    ("suicide_plan", "번개탄을 사 놓았어요"),
    ("danger_to_others", "I have an urge to hurt someone"),
    ("danger_to_others", "누군가를 해칠 것 같아요"),
    ("young_infant_fever", "my 6 week old has a fever of 38.5"),
    ("young_infant_fever", "생후 50일 아기 발열"),
    ("young_infant_fever", "8주 된 아기가 열이 나요"),
    ("possible_stroke_sign", "my face is drooping"),
    ("possible_stroke_sign", "입이 한쪽으로 돌아갔어요"),
    ("stroke_signs", "my right arm suddenly went weak"),
    ("stroke_signs", "한쪽 팔에 힘이 안 들어가요"),
    ("sting_with_breathlessness", "a wasp stung me and now I am short of breath"),
    ("sting_with_breathlessness", "벌에 쏘이고 숨쉬기 힘들어요"),
    ("possible_septic_shock", "high fever and he is confused"),
    ("possible_septic_shock", "열이 39.5도이고 횡설수설해요"),
    ("poisoning", "I swallowed 30 paracetamol tablets"),
    ("poisoning", "타이레놀 30알을 한꺼번에 먹었어요"),
    ("head_injury_danger", "hit my head and vomited three times"),
    ("head_injury_danger", "머리를 부딪히고 계속 토해요"),
    ("gastrointestinal_bleeding_with_shock", "black tarry stools and feeling faint"),
    ("black_stool", "검은 변을 보고 어지러워요"),
    ("cord_compression", "numb between my legs and cannot pee"),
    ("cord_compression", "회음부 감각이 없고 소변이 안 나와요"),
    ("acute_red_painful_eye", "my eye hurts and I see halos around lights"),
    ("acute_red_painful_eye", "눈이 아프고 불빛 주위에 무지개가 보여요"),
    ("ectopic_pregnancy", "임신 6주인데 한쪽 아랫배가 아프고 피가 비쳐요"),
    ("breathing_stops", "아이가 숨을 안 쉬어요"),
    ("cardiac_arrest", "맥박이 없어요"),
    ("cardiac_arrest", "I can't feel a pulse"),
    ("chemical_in_the_eye", "bleach splashed in my eye"),
    ("chemical_in_the_eye", "락스가 눈에 튀었어요"),
    ("swallowed_battery", "my toddler swallowed a button battery"),
    ("swallowed_battery", "아이가 버튼형 건전지를 삼켰어요"),
    ("snake_bite", "a snake bit me on the hand"),
    ("snake_bite", "뱀에 물렸어요"),
    ("fetal_movement", "I can't feel the baby kick"),
    ("fetal_movement", "태동이 안 느껴져요"),
    ("drowning", "my child nearly drowned in a pool"),
    ("drowning", "아이가 물에 빠졌어요"),
    ("limp_infant", "my baby is limp"),
    ("limp_infant", "아기가 축 늘어져 있어요"),
    ("fever_with_low_immunity", "I am on chemotherapy and have a fever"),
    ("fever_with_low_immunity", "항암치료 중인데 열이 나요"),
    ("acute_limb", "my leg has gone cold and numb"),
    ("acute_limb", "한쪽 다리가 차가워지고 감각이 없어요"),
]


def _raised(knowledge: KnowledgeBase, text: str) -> set[str]:
    flags = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text))
    return {flag.flag_id for flag in flags}


@pytest.mark.parametrize(("flag", "text"), RAISED)
def test_raised(knowledge: KnowledgeBase, flag: str, text: str) -> None:
    assert flag in _raised(knowledge, text)


QUIET = [
    "no thoughts of suicide",
    "I do not want to die",
    "자살할 생각은 없어요",
    "죽고 싶은 마음은 없어요",
    "No suicide plan, no thoughts of hurting others",
    "타해 생각은 없어요",
    "no blood in stool, no vomiting blood",
    "my face is not drooping",
    "얼굴 마비는 없어요",
    "I was not bitten by a snake",
    "뱀에 물리지는 않았어요",
    "a mosquito bit me and it itches",
    "모기에 물려서 가려워요",
    "no chemical in the eye",
    "눈에 화학물질이 들어가지는 않았어요",
    "no cold limb",
    "태동 감소는 없어요",
    "I have floaters",
    "눈앞에 날파리가 떠다녀요",
    "자다가 코를 골고 숨을 멈춘대요",
]


@pytest.mark.parametrize("text", QUIET)
def test_not_raised(knowledge: KnowledgeBase, text: str) -> None:
    assert _raised(knowledge, text) == set()


def test_every_flag_has_a_floor_above_low_and_a_name_in_both_languages(knowledge: KnowledgeBase) -> None:
    for rule in knowledge.red_flag_rules.values():
        assert rule.floor != "low"
        assert rule.triage <= 3
        assert rule.name.en != rule.name.ko


def test_weeks_of_pregnancy_are_nobodys_age(knowledge: KnowledgeBase) -> None:
    assert knowledge.extract_patient("임신 8주 된 아기 엄마예요").age is None
    assert knowledge.extract_patient("8주 된 아기예요").age == pytest.approx(56 / 365.25, abs=0.01)
