"""Skin, sugar, burns, poisoning and the nose as people and charts tell of them, and words that only look like it."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

MEANT = [
    ("팔찌 닿은 자리만 빨개졌어요", "contact_trigger"),
    ("the rash is exactly the shape of the plaster", "contact_trigger"),
    ("무릎 상처에서 진물이 줄줄 나요", "skin_oozing"),
    ("my rash keeps oozing", "skin_oozing"),
    ("입가에 누런 딱지가 앉았어요", "honey_crusts"),
    ("발가락 사이가 허옇게 짓물렀어요", "toe_web_maceration"),
    ("팔에 동그랗게 번지는 게 생겼어요", "ring_shaped_rash"),
    ("옆구리에 물집이 줄줄이 올라왔어요", "dermatomal_rash"),
    ("혈당이 45 나왔어요", "hypoglycemia"),
    ("sugar was 2.8 this morning", "hypoglycemia"),
    ("random glucose 312 mg/dL", "hyperglycemia"),
    ("HbA1c 9.4%", "hyperglycemia"),
    ("케톤 3.8 나왔습니다", "ketosis"),
    ("pH 7.12, HCO3 9", "acidosis"),
    ("lactate 5.1", "raised_lactate"),
    ("COHb 22%", "carbon_monoxide_exposure"),
    ("GCS 6", "loss_of_consciousness"),
    ("GCS 14", "confusion"),
    ("혈압을 재니 84에 48이에요", "low_blood_pressure"),
    ("인슐린을 사흘째 못 맞았어요", "insulin_omission"),
    ("orange juice sorts it in ten minutes", "relieved_by_sugar"),
    ("코털이 그을렸어요", "soot_in_airway"),
    ("밖에 나가면 금방 괜찮아져요", "better_outdoors"),
    ("감기가 나아가다가 다시 심해졌어요", "relapse_after_improving"),
    ("my cheek throbs when I bend over", "worse_bending_forward"),
    ("환절기만 되면 재채기가 나요", "seasonal_symptoms"),
]
NOT_MEANT = [
    ("손등이 겁나 가려워요", "anxiety"),
    ("예방주사를 언제 맞았는지 기억이 안 나요", "memory_loss"),
    ("말도 못 하게 아파요", "aphasia"),
    ("식사 후 두통이 있어요", "occipital_headache"),
    ("손목에 실금 같은 줄이 보여요", "urinary_incontinence"),
    ("벌레 물린 것처럼 부었어요", "insect_bite"),
    ("raised lumps like nettle stings", "insect_bite"),
    ("she fell asleep on the sofa", "fall"),
    ("I rub my hands with alcohol gel", "alcohol_use"),
    ("there were two empty blister packs", "blisters"),
    ("they put in a new gas boiler", "bloating"),
    ("요산이 높아 화상 센터로 보냈어요", "burn"),
]
DENIED = [
    ("얼굴은 안 가려워요", "pruritus"),
    ("가렵다기보다 따가워요", "pruritus"),
    ("열은 재보니 없어요", "fever"),
    ("목은 안 부었어요", "sore_throat"),
]


@pytest.mark.parametrize(("text", "finding"), MEANT)
def test_is_read(knowledge: KnowledgeBase, text: str, finding: str) -> None:
    assert finding in {found.finding_id for found in knowledge.extract_findings(text) if found.present}


@pytest.mark.parametrize(("text", "finding"), NOT_MEANT)
def test_is_not_read(knowledge: KnowledgeBase, text: str, finding: str) -> None:
    assert finding not in {found.finding_id for found in knowledge.extract_findings(text)}


@pytest.mark.parametrize(("text", "finding"), DENIED)
def test_is_read_as_denied(knowledge: KnowledgeBase, text: str, finding: str) -> None:
    assert [found.status for found in knowledge.extract_findings(text) if found.finding_id == finding] == ["absent"]


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("새 약을 먹고 열이 나고 입술에 검은 피딱지가 앉았어요", "severe_skin_reaction"),
        ("house fire, singed nares, hoarse voice", "airway_burn"),
        ("인슐린을 이틀 못 맞았고 계속 토해요", "diabetic_emergency"),
        ("fell from a ladder, left pupil fixed and dilated", "head_injury_danger"),
    ],
)
def test_raises_its_flag(knowledge: KnowledgeBase, text: str, flag: str) -> None:
    raised = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text), "en")
    assert flag in {found.flag_id for found in raised}


def test_a_swollen_lip_with_hives_is_no_blocked_airway(knowledge: KnowledgeBase) -> None:
    text = "두드러기가 나고 가렵고 입술이 조금 부었어요"
    raised = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text), "en")
    assert "airway_swelling" not in {found.flag_id for found in raised}
