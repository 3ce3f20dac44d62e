"""Nerves, joints, eyes and early pregnancy: what people and charts say, and what only sounds like it."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

MEANT = [
    ("농구하다 착지하면서 왼쪽 발목이 안쪽으로 꺾였어요", "ankle_twist"),
    ("I went over on my ankle coming off the pavement", "ankle_twist"),
    ("복숭아뼈가 퉁퉁 부었어요", "ankle_swelling"),
    ("절뚝거리면서 걸을 수는 있어요", "able_to_bear_weight"),
    ("넘어진 뒤로 한쪽 다리가 짧아 보여요", "short_rotated_leg"),
    ("휴지로 닦아도 느낌이 없어요", "saddle_anesthesia"),
    ("소변이 마려운지 모르겠어요", "bladder_sensation_loss"),
    ("항문 괄약근 긴장도 저하 소견", "reduced_anal_tone"),
    ("계단에서 무릎이 우두둑 소리가 나요", "joint_crepitus"),
    ("I fumble with the buttons on my shirt", "hand_clumsiness"),
    ("오래 앉아 있으면 더 아파요", "worse_sitting"),
    ("갑자기 머리 전체가 꽝 하고 터지는 것 같았어요", "thunderclap_headache"),
    ("my arm went limp and then came right back", "transient_deficit"),
    ("자궁 안에 아기집이 안 보인대요", "empty_uterus"),
    ("물컹한 조직이 나왔어요", "passed_tissue"),
    ("눈 가장자리에서 번쩍번쩍해요", "photopsia"),
    ("한쪽 눈에 까만 커튼이 내려온 것 같아요", "vision_loss"),
    ("the eyeball feels as hard as a marble", "raised_eye_pressure"),
    ("아침에 속눈썹이 달라붙어요", "eye_discharge"),
    ("젖을 빨다가 숨이 차서 자꾸 떼요", "poor_feeding"),
    ("아내가 임신 30주인데 방금 경련을 했어요", "pregnancy"),
]

NOT_MEANT = [
    ("손목 안쪽이 욱신거려요", "dental_pain"),
    ("the pain is in one spot", "vaginal_bleeding"),
    ("no stiffness but pain when I bend", "buttock_pain"),
    ("척추주위근 경련이 만져짐", "seizure"),
    ("괄약근 긴장도 저하", "limpness"),
    ("우측 SLR 40도", "fever"),
    ("손목이 두 배로 부었어요", "abdominal_distension"),
    ("슬관절 염발음 있음", "subcutaneous_emphysema"),
    ("진통제 먹으면 가라앉아요", "pain_relieved_by_food"),
    ("창문을 다 쳤어요", "trauma"),
    ("만성 불안정성이 의심됨", "anxiety_disorder_history"),
    ("친구한테 말을 못 했어요", "aphasia"),
    ("두 다리가 전기 오르듯 저려요", "electric_injury"),
    ("the sight is down on that side", "depressed_mood"),
    ("my left arm went dead for a minute", "suicidal_ideation"),
    ("the blinds were down", "vision_loss"),
]

DENIED = [
    ("통풍이나 다른 병 같은 건 없고 넘어지신 적은 없어요", "fall"),
    ("오심·구토·조짐 없음", "nausea"),
    ("눈곱은 하나도 없어요", "eye_discharge"),
    ("열이나 냉은 없어요", "fever"),
    ("따갑지도 붓지도 않고 불빛에 무지개가 보이거나 하진 않아요", "halos"),
    ("혈압약을 먹는데 턱이 아파서가 아니라 힘이 없어요", "jaw_pain"),
]


def _statuses(knowledge: KnowledgeBase, text: str) -> dict[str, str]:
    return {finding.finding_id: finding.status for finding in knowledge.extract_findings(text)}


@pytest.mark.parametrize(("text", "finding_id"), MEANT)
def test_meant(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert _statuses(knowledge, text).get(finding_id) in ("present", "uncertain")


@pytest.mark.parametrize(("text", "finding_id"), NOT_MEANT)
def test_not_meant(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert finding_id not in _statuses(knowledge, text)


@pytest.mark.parametrize(("text", "finding_id"), DENIED)
def test_denied(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert _statuses(knowledge, text).get(finding_id) == "absent"


FLAGGED = [
    ("넘어진 뒤로 다리가 짧아 보이고 딛지를 못해요", "suspected_hip_fracture"),
    ("난소에 물혹이 있는데 한쪽 아랫배가 비틀리듯 아프고 계속 토해요", "ovarian_torsion"),
    ("허리가 아프고 소변이 마려운 느낌이 없어요", "cord_compression"),
    ("눈앞에 날파리가 떠다니고 눈 가장자리에서 번쩍번쩍해요", "retinal_danger"),
    ("임신테스트기는 두 줄인데 자궁 안에 아기집이 안 보인대요", "ectopic_pregnancy"),
]


@pytest.mark.parametrize(("text", "flag_id"), FLAGGED)
def test_flagged(knowledge: KnowledgeBase, text: str, flag_id: str) -> None:
    raised = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text), "en")
    assert flag_id in {flag.flag_id for flag in raised}


def test_shallow_breaths_for_pain_alone_are_no_failing_breath(knowledge: KnowledgeBase) -> None:
    text = "갈비뼈가 아파서 숨을 얕게 쉬게 돼요"
    raised = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text), "en")
    assert "failing_breathing" not in {flag.flag_id for flag in raised}
