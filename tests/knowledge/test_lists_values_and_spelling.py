"""Lists of charts, bare and spelled-out values, whose things they were, and misspelt endings.

+ said, - denied, ! must not be read as the patient's.
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase
from app.knowledge.normalise import normalise
from app.knowledge.spelling import corrected

CASES = [
    # lists
    ("치골상부 압통, CVA 압통 없음", "+suprapubic_pain -cva_tenderness"),
    ("우하복부 압통, 반발통 없음", "+right_lower_quadrant_pain -rebound_tenderness"),
    ("발열, 오한, 기침 없음", "-fever -chills -cough"),
    ("두통·구역 없음", "-headache -nausea"),
    ("가슴 통증, 호흡 곤란 없음", "-chest_pain -dyspnea"),
    ("심한 두통, 발열 없음", "+headache -fever"),
    ("3일 전부터 기침, 발열 없음", "+cough -fever"),
    ("뚜렷한 두통, 발열 없음", "-headache -fever"),
    ("심한 흉통이나 호흡곤란 없음", "-chest_pain -dyspnea"),
    ("결막 창백, 부종, 출혈 징후 없음", "-pallor"),
    ("가슴 통증, 특이 소견 없음", "+chest_pain"),
    ("혀 측면 교상, 국소 결손 없음", "+tongue_biting"),
    ("a bit of a sting when I swallow", "+odynophagia"),
    # temperatures
    ("열은 36도대예요", "-fever"),
    ("체온은 36.5도로 정상이었어요", "-fever"),
    ("체온 39.6", "+fever"),
    ("열 재보니 39.6이에요", "+fever"),
    ("his temp is 39.4", "+fever"),
    ("체온은 삼십육도 오부예요", "-fever"),
    ("열이 삼십구도까지 올랐어요", "+fever"),
    # speech
    ("창피해서 엄마한테도 말도 못 했습니다", "!aphasia"),
    ("남편에게는 아직 말을 못 했어요", "!aphasia"),
    ("갑자기 말을 못 하고 오른팔이 안 움직여요", "+aphasia"),
    ("My tongue is swollen and the words won't come out", "!aphasia"),
    ("혀가 부어서 말이 안 나와요", "!aphasia"),
    # whose
    ("I took a whole bottle of tablets from nan's handbag", "+poison_ingestion"),
    ("할머니 혈압약을 한 통 다 먹었어요", "+poison_ingestion"),
    ("Nan's house, had chest pain there", "+chest_pain"),
    ("Swallowed some of my mum's blood pressure tablets", "!hypertension"),
    ("My dad's diabetes is bad", "!diabetes"),
    ("제 와이프가 가슴이 아프대요", "+chest_pain"),
    ("집사람이 숨이 차대요", "+dyspnea"),
    ("신랑이 어제부터 열이 나고 기침해요", "+fever +cough"),
    ("저는 기침을 하고 신랑은 천식이 있어요", "+cough !asthma_history"),
    # nothing, never
    ("Nothing is numb and nothing hurts", "-numbness"),
    ("Nothing hurts in my chest", "-chest_pain"),
    ("Nothing is helping the headache", "+headache"),
    ("죽고 싶다 그런 생각은 전혀요", "-suicidal_ideation"),
    ("I stopped drinking two years ago", "!alcohol_use"),
    ("환청이요? 전혀요", "-hallucinations"),
    ("Fever? No. Cough? Yes.", "-fever +cough"),
    ("Chest pain? No idea what it is", "+chest_pain"),
    # words that look like a finding
    ("hCG falling from 800 to 400", "!trauma !fall"),
    ("우측 폐 허탈 소견", "!syncope !shock"),
    ("임신 7주인데 점상 출혈이 비쳐요", "!petechiae"),
    ("다리에 점상 출혈이 생겼어요", "+petechiae"),
    ("he uses an inhaler for COPD", "!asthma_history"),
    ("the pain was maximal at onset", "!thunderclap_headache"),
    ("headache maximal at onset", "+thunderclap_headache"),
    ("stares at a blue screen all day", "!cyanosis"),
    ("맥없이 축 처져 있어요", "!pulselessness"),
    ("계속 설사를 해요", "+diarrhea !prolonged_standing"),
    ("8주에 태아 심장이 멈췄다고 들었어요", "!pulselessness"),
    ("갑자기 쓰러지고 심장이 멈췄어요", "+pulselessness"),
    ("lung collapse on x-ray", "!loss_of_consciousness !syncope"),
    ("a bit of a sting when I wipe", "!insect_bite"),
    ("stung by wasps as a kid", "!insect_bite"),
    ("a few times a year I get hives", "+hives !seasonal_symptoms"),
    ("자해 생각 그런 건 전혀 아니에요", "!self_harm"),
    # values
    ("post-void residual 620 ml", "+urinary_retention"),
    ("post-void residual 120 ml", "!urinary_retention"),
    ("잔뇨량 500cc", "+urinary_retention"),
    ("맥 178회로 뛰어요", "+tachycardia"),
    ("pulse 178", "+tachycardia"),
    ("스마트워치에 190이 찍혔어요", "+tachycardia"),
    ("스마트워치로 잰 산소 98", "!tachycardia"),
    ("혈압이 이백이십에 백십이래요", "+high_blood_pressure"),
    ("혈압이 팔십에 오십이에요", "+low_blood_pressure"),
    ("혈압이 백이십에 팔십이에요", "!high_blood_pressure !low_blood_pressure"),
    # spelling
    ("다리가 퉁퉁 부엇어여", "+leg_swelling"),
    ("배가 아팟어요", "+abdominal_pain"),
    ("밤새 토햇읍니다", "+vomiting"),
    ("머리가 아픔니다", "+headache"),
    ("열은 업어요", "-fever"),
    ("기침은 않나요", "-cough"),
    ("머리는 아프지 안아요", "-headache"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_reading(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    found = {finding.finding_id: finding.status for finding in knowledge.extract_findings(text)}
    for mark, finding_id in ((word[0], word[1:]) for word in expected.split()):
        status = found.get(finding_id)
        if mark == "!":
            assert status not in ("present", "uncertain"), (finding_id, found)
        else:
            assert status == {"+": "present", "-": "absent"}[mark], (finding_id, found)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("부엇어요", "부었어요"),
        ("아파여ㅠㅠ", "아파요ㅠㅠ"),
        ("아픈데여", "아픈데요"),
        ("있읍니다", "있습니다"),
        ("소화가 안되여", "소화가 안돼요"),
        ("몇일째 잠이 안와여", "며칠째 잠이 안와요"),
        ("어의없어요", "어이없어요"),
    ],
)
def test_misspelt_endings(typed: str, meant: str) -> None:
    assert corrected(typed) == meant


@pytest.mark.parametrize(
    "text",
    [
        "웃어요",
        "씻어요",
        "벗어요",
        "붓습니다",
        "낫는데",
        "다섯",
        "빼앗어요",
        "참여",
        "손톱이 파여",
        "물에 데여",
        "아기를 업어요",
        "춥지는 않나요",
    ],
)
def test_words_of_their_own(text: str) -> None:
    assert corrected(text) == text


def test_quotes_stay_as_they_were_typed(knowledge: KnowledgeBase) -> None:
    text = "어제 밤새 토햇어여"
    finding = next(found for found in knowledge.extract_findings(text) if found.finding_id == "vomiting")
    assert finding.quote == text[finding.start : finding.end]
    assert "햇" in finding.quote


def test_spelling_holds_the_places_of_decomposed_text() -> None:
    source = normalise("\u1100\u1161\u11ba어요, ｂｐ")
    assert source.text == "갔어요, bp"
    assert source.span(0, 1) == (0, 3)


@pytest.mark.parametrize(
    ("text", "systolic", "diastolic"),
    [
        ("혈압이 이백이십에 백십이에요", 220, 110),
        ("혈압은 일백구십에 백오", 190, 105),
        ("혈압이 팔십에 오십", 80, 50),
        ("혈압이 백이십이에 팔십이", 122, 82),
    ],
)
def test_pressures_in_words(knowledge: KnowledgeBase, text: str, systolic: float, diastolic: float) -> None:
    vitals = knowledge.extract_patient(text).vitals
    assert (vitals.sbp, vitals.dbp) == (systolic, diastolic)


def test_a_pulse_said_bare(knowledge: KnowledgeBase) -> None:
    assert knowledge.extract_patient("맥 178회, 식은땀").vitals.heart_rate == 178
    assert knowledge.extract_patient("my watch says 184").vitals.heart_rate == 184
    assert knowledge.extract_patient("워치에 혈압 140으로 나와요").vitals.heart_rate is None
