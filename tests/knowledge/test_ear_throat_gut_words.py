"""Ear, throat and abdominal complaints, as people and charts word them.

Each expectation is what must be read as present (+), as denied (-) or not at all (!).
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

CASES = [
    ("My ear canal is swollen and it hurts when I pull my earlobe.", "+ear_canal_swelling +outer_ear_tenderness"),
    ("귓불을 잡아당기면 아프고 귓구멍이 부었어요", "+outer_ear_tenderness +ear_canal_swelling"),
    ("I have gone deaf in one ear and it feels plugged.", "+unilateral_hearing_loss"),
    ("어제부터 오른쪽 귀가 하나도 안 들려요", "+unilateral_hearing_loss"),
    ("My hearing aid is broken and I need new laces.", "!hiv_infection !wound"),
    ("I cleaned his ear.", "!tinnitus"),
    ("목젖이 옆으로 밀리고 입이 안 벌어져요", "+peritonsillar_swelling +trismus"),
    ("only the right side of my throat hurts and the uvula is pushed over", "+unilateral_throat_pain"),
    ("이통·이루 없음, 청력 정상", "-ear_pain -ear_discharge"),
    ("왼쪽으로 자꾸 쓰러지고 눈동자가 옆으로 튀어요", "+ataxia +nystagmus !loss_of_consciousness"),
    ("기침하면 배가 울려요", "+pain_on_jolting !cough"),
    ("Every speed bump on the way here was agony.", "+pain_on_jolting"),
    ("담낭에 돌이 있다고 들었어요", "+gallstones"),
    ("담도 스텐트를 교체했어요", "+bile_duct_stone_or_stent !heart_disease"),
    ("She has a biliary stent.", "+bile_duct_stone_or_stent !heart_disease"),
    ("진통제를 먹으면 조금 나아요", "!pain_relieved_by_food"),
    ("죽을 먹으면 좀 나아요", "+pain_relieved_by_food"),
    ("체중은 늘 똑같아요", "!weight_gain"),
    ("my weight is steady", "!weight_loss"),
    ("고추 농사를 지어요", "!genital_ulcer"),
    ("The lump in my groin has gone hard and will not go back in.", "+groin_lump +irreducible_lump"),
    ("사타구니에 혹이 있는데 누우면 쏙 들어가요", "+groin_lump +reducible_lump"),
    ("토하자마자 가슴이 찢어지듯 아파요", "+pain_after_vomiting"),
    ("Surgical emphysema over the neck", "+subcutaneous_emphysema !copd_history"),
    ("체중감소·빈혈·연하곤란 등 경고증상 없음", "-weight_loss -dysphagia"),
    ("토해도 시원하지 않아요", "+vomiting"),
    ("No response to eight weeks of tablets.", "!loss_of_consciousness"),
    ("BT 38.6, 기침·콧물 없음", "+fever -cough"),
    ("내시경은 정상이었고 설사와 변비가 번갈아 와요", "+alternating_bowel_habit"),
    ("My stools are jet black and I nearly passed out.", "+melena +presyncope"),
    ("변이 먹물처럼 새까매요", "+melena"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_ear_throat_and_gut_words(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    found = {finding.finding_id: finding.status for finding in knowledge.extract_findings(text)}
    for item in expected.split():
        sign, finding_id = item[0], item[1:]
        assert finding_id in knowledge.findings
        if sign == "!":
            assert finding_id not in found, found
        else:
            assert found.get(finding_id) == ("present" if sign == "+" else "absent"), found
