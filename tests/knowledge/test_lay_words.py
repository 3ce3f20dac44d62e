"""What people say between a noun and its verb, how charts abbreviate sides, and words that only look like a finding.

+ said, - denied, ! must not be read as the patient's.
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

CASES = [
    ("심장이 벌렁벌렁 뛰어요", "+palpitations"),
    ("머리카락이 뭉텅뭉텅 빠져요", "+hair_loss"),
    ("코에서 피가 주르륵 나요", "+epistaxis"),
    ("입이 바짝바짝 말라요", "+dry_mouth"),
    ("옆구리가 끊어질 듯이 아파요", "+flank_pain"),
    ("침 삼킬 때마다 목이 찢어질 것 같아요", "+odynophagia"),
    ("발이 갑자기 얼음장처럼 차가워졌어요", "+cold_limb +sudden_onset"),
    ("다리가 갑자기 붓지는 않았어요", "-leg_swelling"),
    ("오늘 아침 똥꼬가 찢어질 것 같았어요", "+rectal_pain"),
    ("한쪽 종아리만 땡땡하게 부었어요", "+one_sided_leg_swelling"),
    ("양치하는데 물이 한쪽으로 줄줄 새요", "+facial_droop"),
    ("젓가락질이 갑자기 안 돼요", "+grip_weakness"),
    ("글씨가 번져 보여요", "+blurred_vision"),
    ("소변 볼 때 불이 나는 것 같아요", "+dysuria"),
    ("각질이 은색으로 벗겨져요", "+silvery_scale"),
    ("엄지발가락이 벌겋게 붓고 바람만 스쳐도 아파요", "+toe_pain"),
    ("바지가 헐렁해졌어요", "+weight_loss"),
    ("1형 당뇨인데 토하고 배가 아파요", "+diabetes +vomiting +abdominal_pain"),
    ("눈에 먼지가 들어갔어요", "!vision_loss"),
    ("아플 정도는 아니고 무릎이 시큰해요", "+knee_pain"),
    ("72M sudden R sided weakness", "+hemiparesis"),
    ("pain in the L calf", "+calf_pain"),
    ("it stings when I wee", "+dysuria"),
    ("black tarry poo", "+melena"),
    ("my tummy hurts", "+abdominal_pain"),
    ("SOBOE, no orthopnoea", "+dyspnea_on_exertion -orthopnea"),
    ("no SOB", "-dyspnea !dyspnea_on_exertion"),
    ("the redness has gone up my leg", "+skin_redness"),
    ("the rash has gone", "-rash"),
    ("my ear is killing me", "+ear_pain"),
    ("white as a sheet", "+pallor"),
    ("it feels like razor blades when I swallow", "+odynophagia"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=lambda value: str(value)[:50])
def test_lay_words(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    found = {finding.finding_id: finding.present for finding in knowledge.extract_findings(text)}
    said = {broader for name, is_present in found.items() if is_present for broader in (name, *knowledge.broader(name))}
    for item in expected.split():
        sign, finding_id = item[0], item[1:]
        assert finding_id in knowledge.findings
        if sign == "+":
            assert finding_id in said, found
        elif sign == "-":
            assert found.get(finding_id) is False, found
        else:
            assert finding_id not in said, found
