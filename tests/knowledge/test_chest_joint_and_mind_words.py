"""Children, the mind, lungs, joints and the urinary tract in lay and chart words, and what only looks like them.

+ said, - denied, ! must not be read as the patient's, !- must not be read as denied.
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

CASES = [
    ("새벽에 아이가 물개 울음 같은 기침을 했어요", "+barking_cough"),
    ("밖에 나가 찬 공기 쐬면 가라앉아요", "+relief_in_cool_air !cold_exposure"),
    ("눈이 뒤로 넘어가고 팔다리를 덜덜 떨었어요", "+seizure"),
    ("아기가 무릎을 배에 붙이고 악쓰고 울어요", "+legs_drawn_up +inconsolable_crying"),
    ("소변량은 적절하고 잘 놉니다", "!oliguria"),
    ("물집이 생겼는데 가려워하진 않아요", "!-vesicles -pruritus"),
    ("어지러운데 토하지는 않아요", "+dizziness -vomiting"),
    ("죽고 싶다는 생각까지는 아니에요", "-suicidal_ideation"),
    ("넘어지거나 다친 기억은 없어요", "-fall -trauma"),
    ("술 안 마신 지 사흘인데 벽에 거미가 기어다녀요", "+alcohol_cessation +hallucinations"),
    ("발표 뒤에 눈물이 핑 돌았어요", "!presyncope"),
    ("공기가 안 들어오는 것 같고 내가 내가 아닌 것 같아요", "+derealization"),
    ("가래가 왈칵 쏟아지고 손가락 끝이 뭉툭해졌어요", "+copious_sputum +finger_clubbing"),
    ("항생제 반응 없음", "+no_response_to_treatment !loss_of_consciousness"),
    ("기관 우측 편위와 과공명음", "+tracheal_deviation +hyperresonance"),
    ("무릎이 시뻘겋게 붓고 조금도 못 굽혀요", "+joint_swelling +limited_motion"),
    ("비만 오면 무릎이 더 쑤셔요", "!obesity"),
    ("발을 불에 덴 것처럼 아파요", "!burn"),
    ("옆구리 통증이 사타구니로 뻗쳐요", "+radiation_to_groin"),
    ("소변이 끊겼다가 다시 나와요", "+weak_urine_stream"),
    ("창피해서 말을 못 했어요", "!slurred_speech"),
    ("담배는 피운 적 없어요", "-smoking"),
    ("a cough like a sea lion tonight", "+barking_cough"),
    ("he went stiff and then jerked", "+seizure"),
    ("his lips are cracked and the BCG scar has turned red", "+bcg_scar_redness"),
    ("I thought I was about to die", "+fear_of_dying !suicidal_ideation"),
    ("the attack peaked within minutes", "!thunderclap_headache"),
    ("platelets are low", "!depressed_mood"),
    ("I sat on the edge of the bath", "!anxiety"),
    ("it stung when I passed water", "+dysuria !insect_bite"),
    ("I tied my laces", "!wound"),
    ("the phlegm has gone green", "+sputum_purulent"),
    ("unresponsive to antibiotics", "+no_response_to_treatment !loss_of_consciousness"),
    ("pursed lips and poor air entry", "+pursed_lip_breathing +reduced_breath_sounds"),
    ("my uric acid was high", "+high_uric_acid"),
    ("there is CO2 retention", "!urinary_retention"),
    ("his pants are wet", "!dyspnea"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[case[0] for case in CASES])
def test_read_as_meant(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    read = {finding.finding_id: finding.status for finding in knowledge.extract_findings(text)}
    for mark in expected.split():
        sign, name = (mark[:2], mark[2:]) if mark.startswith("!-") else (mark[0], mark[1:])
        if sign == "+":
            assert read.get(name) in ("present", "uncertain"), (name, read)
        elif sign == "-":
            assert read.get(name) == "absent", (name, read)
        elif sign == "!-":
            assert read.get(name) != "absent", (name, read)
        else:
            assert read.get(name) not in ("present", "uncertain"), (name, read)
