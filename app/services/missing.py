"""What would help where a case carries no diagnosis: what it lacks, the most useful first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.domain import Case, Evidence, Finding, Language, Patient, Prediction, Vitals
from app.knowledge.durations import Durations
from app.knowledge.normalise import normalise
from app.services.ports import Knowledge

MAX_SENTENCES = 4
LEADING = 3
"""Conditions of the differential, from its top, that say which picture or sound would tell them apart."""
SKIN = {"chickenpox", "drug_reaction", "hand_foot_mouth_disease", "kawasaki_disease", "necrotizing_fasciitis"}
"""Seen on the skin, besides all that dermatology treats."""
CHEST = {"acute_pulmonary_edema", "covid19", "heart_failure", "spontaneous_rib_fracture", "tuberculosis"}
"""Seen on a chest X-ray, besides all that pulmonology treats."""
VALVES = {"aortic_stenosis", "mitral_regurgitation", "mitral_stenosis", "mitral_valve_prolapse"}
_SENTENCE_END = re.compile(r"[.!?;\n]")


class Sentence(NamedTuple):
    en: str
    ko: str

    def get(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en


UNKNOWN_MEDIA: dict[str, Sentence] = {
    "image": Sentence(
        "The picture does not look like those that the model knows: check that it is the right one, whole and sharp.",
        "보내신 영상은 모델이 알고 있는 영상과 다릅니다. 올바른 파일인지, 잘리거나 흐리지 않은지 확인하십시오.",
    ),
    "audio": Sentence(
        "The sound is unlike those that the model knows: check that it is the right one, whole and without noise.",
        "보내신 소리는 모델이 알고 있는 소리와 다릅니다. 올바른 파일인지, 잘리거나 잡음이 없는지 확인하십시오.",
    ),
    "video": Sentence(
        "The film does not look like those that the model knows: check that it is the right one, steady and sharp.",
        "보내신 동영상은 모델이 알고 있는 동영상과 다릅니다. 올바른 파일인지, 흔들리거나 흐리지 않은지 확인하십시오.",
    ),
}
COMPLAINT = Sentence(
    "Describe the complaint in words: what is wrong, where, since when, and how strong it is.",
    "어디가 어떻게 불편한지, 언제부터인지, 얼마나 심한지 문장으로 적어 주십시오.",
)
UNREAD_TEXT = Sentence(
    "No symptom was recognised in the text: say in plain words what is wrong, where, since when, and how strong it is.",
    "입력하신 글에서 증상을 찾지 못했습니다. 어디가 어떻게 불편한지, 언제부터인지, 얼마나 심한지 적어 주십시오.",
)
ONSET = Sentence(
    "Say when it began, whether suddenly or slowly, and how it has changed since.",
    "언제 시작되었는지, 갑자기 또는 서서히 시작되었는지, 그 뒤로 어떻게 변했는지 적어 주십시오.",
)
SKIN_PHOTO = Sentence(
    "Describe the skin change (where, colour, raised or flat, itching or pain) and add a photo of it if there is one.",
    "피부 변화의 위치, 색, 솟아 있는지 여부, 가려움이나 통증을 적고, 사진이 있으면 함께 보내십시오.",
)
CHEST_XRAY = Sentence("Add a chest X-ray if there is one.", "흉부 X선 영상이 있으면 함께 보내십시오.")
HEART_SOUND = Sentence(
    "Add a recording of the heart sounds (electronic stethoscope) if there is one.",
    "심음 녹음(전자 청진기)이 있으면 함께 보내십시오.",
)
OTHER_SYMPTOMS = Sentence(
    "Say which other symptoms there are, and which were looked for but are absent: fever, pain, breathlessness.",
    "함께 나타난 다른 증상과, 확인했지만 없는 증상(발열, 통증, 호흡곤란 등)을 적어 주십시오.",
)
AGE_AND_SEX = Sentence("Give the patient's age and sex.", "환자의 나이와 성별을 입력하십시오.")
AGE = Sentence("Give the patient's age.", "환자의 나이를 입력하십시오.")
SEX = Sentence("Give the patient's sex.", "환자의 성별을 입력하십시오.")
VITAL_SIGNS = Sentence(
    "Measure and add vital signs: blood pressure, pulse, breathing rate, temperature, oxygen saturation.",
    "활력징후(혈압, 맥박, 호흡수, 체온, 산소포화도)를 측정하여 함께 입력하십시오.",
)
ANYTHING_ELSE = Sentence(
    "Add what else is known: earlier illnesses, medicines, allergies, and what an examination showed.",
    "과거 병력, 복용 중인 약, 알레르기, 진찰 소견 등 알고 있는 다른 정보를 추가하십시오.",
)


def what_would_help(case: Case, evidence: Evidence, prediction: Prediction, knowledge: Knowledge) -> tuple[str, ...]:
    """1 to MAX_SENTENCES sentences in the case's language; the same for the same case."""
    found = list(_missing(case, evidence, prediction, knowledge))[:MAX_SENTENCES]
    return tuple(sentence.get(case.language) for sentence in found or [ANYTHING_ELSE])


def _missing(case: Case, evidence: Evidence, prediction: Prediction, knowledge: Knowledge) -> Iterator[Sentence]:
    out_of_scope = "out_of_scope" in prediction.warnings
    if out_of_scope:
        yield from _unknown_media(case)
    told = any(finding.present or finding.status == "absent" for finding in evidence.findings)
    if not told:
        yield COMPLAINT if case.text is None else UNREAD_TEXT
    elif not _says_when(case.text or "", evidence.findings):
        yield ONSET
    if not out_of_scope:
        yield from _telling_media(case, prediction, knowledge)
    if told and not _says_what_else(evidence.findings):
        yield OTHER_SYMPTOMS
    yield from _unknown_person(evidence.patient)
    if evidence.patient.vitals == Vitals():
        yield VITAL_SIGNS


def _unknown_media(case: Case) -> Iterator[Sentence]:
    given = {"image": bool(case.images), "audio": case.audio is not None, "video": case.video is not None}
    yield from (UNKNOWN_MEDIA[kind] for kind, is_given in given.items() if is_given)


def _says_when(text: str, findings: tuple[Finding, ...]) -> bool:
    """Whether any sentence states a duration, with a finding or without."""
    if any(finding.duration_days is not None for finding in findings):
        return True
    plain = normalise(text).text
    durations = Durations(plain)
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(plain))]
    return any(durations.of(start, start) is not None for start in starts)


def _telling_media(case: Case, prediction: Prediction, knowledge: Knowledge) -> Iterator[Sentence]:
    """What would tell the leading conditions apart and was not given."""
    leading = [candidate.condition_id for candidate in prediction.differential[:LEADING]]
    specialties = {knowledge.conditions[condition_id].specialty for condition_id in leading}
    seen = bool(case.images) or case.video is not None
    if not seen and ("dermatology" in specialties or SKIN.intersection(leading)):
        yield SKIN_PHOTO
    if not seen and ("pulmonology" in specialties or CHEST.intersection(leading)):
        yield CHEST_XRAY
    heard = case.audio is not None or (case.video is not None and case.video.sound is not None)
    if not heard and VALVES.intersection(leading):
        yield HEART_SOUND


def _says_what_else(findings: tuple[Finding, ...]) -> bool:
    """Whether there is more than one symptom, and one that is denied."""
    return sum(finding.present for finding in findings) > 1 and any(item.status == "absent" for item in findings)


def _unknown_person(patient: Patient) -> Iterator[Sentence]:
    if patient.age is None and patient.sex is None:
        yield AGE_AND_SEX
    elif patient.age is None:
        yield AGE
    elif patient.sex is None:
        yield SEX
