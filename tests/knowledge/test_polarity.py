"""Said, denied, or about somebody else: sentences as patients and clinicians write them.

+ said, - denied, ! must not be read as the patient's (left out, or a relative's).
"""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

ENGLISH = [
    ("My chest hurts and I feel short of breath.", "+chest_pain +dyspnea"),
    ("I have no chest pain but I have a fever.", "-chest_pain +fever"),
    ("No fever, chills, or cough.", "-fever -chills -cough"),
    ("Denies chest pain, palpitations and leg swelling.", "-chest_pain -palpitations -leg_swelling"),
    ("Denies fever, has a cough.", "-fever +cough"),
    ("I don't have a headache or a stiff neck.", "-headache -neck_stiffness"),
    ("No cough, but I do have a sore throat and a runny nose.", "-cough +sore_throat +runny_nose"),
    ("My chest doesn't hurt any more but I still get dizzy.", "-chest_pain +dizziness"),
    ("I've never had a seizure.", "-seizure"),
    ("I have never had a headache like this before.", "+headache"),
    ("The cough won't go away.", "+cough"),
    ("The headache does not go away with painkillers.", "+headache"),
    ("It is not only the fever, I also vomit.", "+fever +vomiting"),
    ("I can't stop coughing.", "+cough"),
    ("I can't sleep because of the itching.", "+insomnia +pruritus"),
    ("I have no appetite, nausea and vomiting.", "+loss_of_appetite +nausea +vomiting"),
    ("Without fever or rash.", "-fever -rash"),
    ("Neither vomiting nor diarrhea.", "-vomiting -diarrhea"),
    ("There is no blood in my stool, only constipation.", "-hematochezia +constipation"),
    ("Fever: no. Cough: yes.", "-fever +cough"),
    ("fever (-), chills (+)", "-fever +chills"),
    ("cough/sputum/dyspnea (+/+/-)", "+cough +productive_cough -dyspnea"),
    ("Chest pain is absent.", "-chest_pain"),
    ("The rash is gone but my joints ache.", "-rash +arthralgia"),
    ("I haven't had any diarrhea since Monday, I still feel nauseous.", "-diarrhea +nausea"),
    ("I don't think I have a fever.", "-fever"),
    ("not nauseous, vomiting twice", "-nausea +vomiting"),
    ("I have no fever I have a cough", "-fever +cough"),
    ("No shortness of breath at rest, however I am out of breath climbing stairs.", "+dyspnea_on_exertion"),
    ("My mother has diabetes and I have a cough.", "!diabetes +cough"),
    ("Family history of diabetes. I feel tired.", "!diabetes +fatigue"),
    ("Diabetes runs in my family, and I am thirsty all the time.", "!diabetes +thirst"),
    ("My father had a heart attack at 50; my chest hurts.", "!heart_disease +chest_pain +family_history_heart_disease"),
    ("My sister has asthma, but I only have a runny nose.", "!asthma_history +runny_nose"),
    ("My husband suddenly collapsed and is not breathing.", "+loss_of_consciousness"),
    ("My son has a fever and a barking cough.", "+fever +barking_cough"),
    ("I caught a cold from my brother and now I have a sore throat.", "+sore_throat"),
    ("I have no idea why my knee hurts.", "+knee_pain"),
    ("I don't know why my stomach hurts.", "+abdominal_pain"),
    ("vomiting x3, no hematemesis, no melena", "+vomiting -vomiting_blood -melena"),
    ("I am not short of breath.", "-dyspnea"),
    ("no sensitivity to light", "-photophobia !numbness"),
    ("He is not confused, but he is drowsy.", "-confusion +drowsiness"),
    ("painkillers give no relief from the back pain", "+back_pain"),
    ("Non-smoker, denies alcohol.", "-smoking -alcohol_use"),
    ("I'm worried about cancer because of this cough.", "!cancer_history +cough"),
    ("Could it be a migraine? My head hurts.", "!migraine_history +headache"),
]

KOREAN = [
    ("가슴이 아프고 숨이 차요.", "+chest_pain +dyspnea"),
    ("가슴 통증은 없고 기침이 나요.", "-chest_pain +cough"),
    ("열은 없어요. 기침만 해요.", "-fever +cough"),
    ("열은 안 나요.", "-fever"),
    ("열이나 기침은 없습니다.", "-fever -cough"),
    ("발열, 오한, 기침 없음", "-fever -chills -cough"),
    ("흉통 및 호흡곤란 부인", "-chest_pain -dyspnea"),
    ("두통은 있으나 구토는 없음", "+headache -vomiting"),
    ("가슴이 아프지 않아요", "-chest_pain"),
    ("가슴이 아프지는 않지만 답답해요", "-chest_pain"),
    ("기침을 하지는 않아요", "-cough"),
    ("기침은 거의 안 해요", "-cough"),
    ("기침이 멈추지 않아요", "+cough"),
    ("두통이 없어지지 않아요", "+headache"),
    ("열이 떨어지지 않아요", "+fever"),
    ("열이 안 떨어져요", "+fever"),
    ("통증이 심하지 않지만 무릎이 아파요", "+knee_pain"),
    ("두통이 심하지 않아요", "+headache"),
    ("토한 적은 없어요", "-vomiting"),
    ("배가 아픈 건 아니에요", "-abdominal_pain"),
    ("피를 토하지는 않았어요", "-vomiting_blood"),
    ("입맛이 없고 기운이 없어요", "+loss_of_appetite +fatigue"),
    ("잠을 못 자요", "+insomnia"),
    ("숨을 못 쉬겠어요", "+dyspnea"),
    ("열 없이 기침만 합니다", "-fever +cough"),
    ("어머니가 당뇨가 있으시고 저는 기침이 나요", "!diabetes +cough"),
    ("아버지가 고혈압이고 당뇨도 있으세요. 저는 머리가 아파요.", "!hypertension !diabetes +headache"),
    ("당뇨 가족력이 있고 갈증이 심해요", "!diabetes +thirst"),
    ("가족 중에 천식 환자가 있어요. 저는 콧물이 나요.", "!asthma_history +runny_nose"),
    ("남편이 갑자기 쓰러졌어요. 숨을 안 쉬어요.", "+loss_of_consciousness"),
    ("아이가 열이 나고 컹컹 짖는 기침을 해요", "+fever +barking_cough"),
    ("친구한테 감기가 옮았는지 목이 아파요", "+sore_throat"),
    ("fever(-) cough(+)", "-fever +cough"),
    ("오심/구토(+/-)", "+nausea -vomiting"),
    ("열이 나지 않고 두통만 있어요", "-fever +headache"),
    ("설사는 없는데 배가 아파요", "-diarrhea +abdominal_pain"),
    ("현재 흉통은 호소하지 않음", "-chest_pain"),
    ("의식 소실은 없었고 어지러웠어요", "-loss_of_consciousness +dizziness"),
    ("두드러기는 없어졌는데 아직 가려워요", "-hives +pruritus"),
    ("자살 생각은 없습니다. 우울해요.", "-suicidal_ideation +depressed_mood"),
    ("기침뿐만 아니라 열도 나요", "+cough +fever"),
    ("기침뿐 아니라 가래도 있어요", "+cough +productive_cough"),
    ("가슴통증없음", "-chest_pain"),
    ("어지럽지는 않은데 귀에서 소리가 나요", "-dizziness +tinnitus"),
    ("구토나 설사는 하지 않았어요", "-vomiting -diarrhea"),
    ("혈변은 전혀 없었습니다", "-hematochezia"),
    ("당뇨는 없고 고혈압이 있어요", "-diabetes +hypertension"),
    ("암일까 봐 걱정돼요. 기침이 나요.", "!cancer_history +cough"),
    ("담배는 안 피우고 술은 매일 마셔요", "-smoking +alcohol_use"),
    ("배가 안 아프고 더부룩해요", "-abdominal_pain +bloating"),
    ("배가 아프고 더부룩하지는 않아요", "+abdominal_pain -bloating"),
    ("눈이 너무 가렵고 빨개요", "+itchy_eyes +eye_redness"),
    ("눈이 빨갛고 노란 눈곱이 껴요", "+eye_redness !jaundice"),
    ("좁쌀만 하게 볼록하고 아파요", "!facial_pain"),
    ("다리가 붓고 머리를 감고 나서 아파요", "+leg_swelling !leg_pain"),
]


@pytest.mark.parametrize(("text", "expected"), ENGLISH + KOREAN, ids=lambda value: str(value)[:60])
def test_polarity(knowledge: KnowledgeBase, text: str, expected: str) -> None:
    read = [finding for finding in knowledge.extract_findings(text) if finding.status != "family"]
    found = {finding.finding_id: finding.present for finding in read}
    for item in expected.split():
        sign, finding_id = item[0], item[1:]
        assert finding_id in knowledge.findings
        readings = [
            present for name, present in found.items() if name == finding_id or _is_case(knowledge, name, finding_id)
        ]
        if sign == "!":
            assert not readings, f"{finding_id} read in {text!r}: {found}"
        else:
            assert (sign == "+") in readings, f"{item} not in {found}"
            assert found.get(finding_id, sign == "+") == (sign == "+"), f"{item} read the other way: {found}"


def _is_case(knowledge: KnowledgeBase, finding_id: str, general: str) -> bool:
    return general in knowledge.broader(finding_id)
