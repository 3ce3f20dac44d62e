"""Heart, vessels, allergy and skin, as patients and charts say it; and what only sounds like them."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

MEANT = [
    ("배에서 심장처럼 뛰는 덩어리가 만져져요", "pulsatile_abdominal_mass"),
    ("I can feel a pulsing in my belly at night", "pulsatile_abdominal_mass"),
    ("초음파에서 복부대동맥 직경 5.5cm", "aortic_dilatation"),
    ("가슴 정중앙을 바위로 누르는 것처럼 답답해요", "chest_tightness"),
    ("it is like an elephant sitting on my chest", "chest_tightness"),
    ("오르막 오르면 가슴이 뻐근하고 멈추면 풀려요", "chest_pain_on_exertion"),
    ("새벽에 가슴이 조여서 깼어요", "rest_chest_pain"),
    ("니트로를 한 번 넣으면 금방 풀려요", "relieved_by_nitrate"),
    ("ECG: widespread saddle ST elevation", "diffuse_st_elevation"),
    ("ST depression in the lateral leads", "st_depression"),
    ("hs-TnI 상승", "raised_troponin"),
    ("JVP raised, S3 gallop", "raised_jvp"),
    ("심낭 마찰음이 들림", "pericardial_rub"),
    ("심장 판막이 좁아졌다고 들었어요", "heart_valve_disease"),
    ("맥이 엇박으로 뛰어요", "irregular_pulse"),
    ("두근거림이 스위치를 끈 것처럼 뚝 멎어요", "abrupt_palpitations"),
    ("화장실만 다녀와도 숨이 차요", "dyspnea_on_exertion"),
    ("다리를 올리고 누우면 편해요", "relieved_by_leg_elevation"),
    ("왼쪽 종아리만 땡땡하게 부었어요", "one_sided_leg_swelling"),
    ("약을 건너뛴 날은 괜찮아요", "relieved_by_stopping_drug"),
    ("얼굴에 기름이 많아요", "oily_skin"),
    ("생리 전만 되면 턱에 뭐가 나요", "premenstrual_flare"),
    ("하루 만에 표시한 금을 넘어 번졌어요", "spreading_redness"),
]

NOT_MEANT = [
    ("누우면 물에 빠진 것처럼 숨이 막혀요", "drowning"),
    ("lying down feels like drowning", "drowning"),
    ("ST depression on the tracing", "depressed_mood"),
    ("PR depression in lead II", "depressed_mood"),
    ("흉부 X선 나비모양 음영", "butterfly_rash"),
    ("판막이 늘어졌다고 들었어요", "fatigue"),
    ("감기 기운은 없어요", "fatigue"),
    ("천식은 앓아본 적이 없어요", "asthma_history"),
    ("숨을 참고 힘을 줘도 안 멎어요", "dyspnea"),
    ("처음엔 체한 줄 알았어요", "bloating"),
    ("I thought it was heartburn at first", "heartburn"),
    ("두통이 심하거나 눈이 침침한 건 없어요", "headache"),
    ("가슴이 쥐어짜듯 아프지는 않아요", "chest_pain"),
    ("갑자기 붓거나 빨개진 적은 없어요", "sudden_onset"),
    ("갑자기 일어서면 어지러워요", "sudden_onset"),
    ("긁힌 상처나 벌레 물린 자국은 없어요", "insect_bite"),
    ("pain unresponsive to GTN", "loss_of_consciousness"),
    ("erythema with an ill-defined edge", "malaise"),
]


@pytest.mark.parametrize(("text", "finding_id"), MEANT)
def test_said_as_people_and_charts_say_it(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert finding_id in {finding.finding_id for finding in knowledge.extract_findings(text) if finding.present}


@pytest.mark.parametrize(("text", "finding_id"), NOT_MEANT)
def test_not_meant(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert finding_id not in {finding.finding_id for finding in knowledge.extract_findings(text) if finding.present}
