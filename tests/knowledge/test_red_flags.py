"""Which cases raise which red flag, and which must not."""

from __future__ import annotations

import pytest

from app.domain import Finding, Patient, Vitals
from app.knowledge.base import KnowledgeBase


def _findings(text: str) -> list[Finding]:
    """ "fever -cough": fever is said, cough is denied."""
    return [Finding(word.lstrip("-"), not word.startswith("-"), word, 0, len(word)) for word in text.split()]


def _vitals(age: float | None = None, **vitals: float) -> Patient:
    return Patient(age=age, vitals=Vitals(**vitals))


RAISED = [
    ("low_oxygen", "", _vitals(spo2=91)),
    ("very_low_oxygen", "", _vitals(spo2=84)),
    ("very_low_oxygen", "dyspnea", _vitals(spo2=89)),
    ("low_systolic_pressure", "", _vitals(sbp=89)),
    ("low_systolic_pressure", "", _vitals(age=40, sbp=85)),
    ("low_systolic_pressure", "", _vitals(age=3, sbp=70)),
    ("low_systolic_pressure", "", _vitals(age=0.5, sbp=65)),
    ("hypertensive_emergency", "chest_pain", _vitals(age=60, sbp=210)),
    ("fast_heart_rate", "", _vitals(heart_rate=131)),
    ("fast_heart_rate", "", _vitals(age=10, heart_rate=155)),
    ("slow_heart_rate", "", _vitals(age=70, heart_rate=38)),
    ("slow_heart_rate", "", _vitals(age=1, heart_rate=55)),
    ("fast_breathing", "", _vitals(respiratory_rate=26)),
    ("fast_breathing", "", _vitals(age=3, respiratory_rate=45)),
    ("slow_breathing", "", _vitals(respiratory_rate=8)),
    ("low_temperature", "", _vitals(temperature=34.5)),
    ("very_high_temperature", "", _vitals(temperature=41.2)),
    ("young_infant_fever", "", _vitals(age=0.1, temperature=38.2)),
    ("young_infant_fever", "fever", Patient(age=0.2)),
    ("unresponsive", "", Patient(consciousness="unresponsive")),
    ("unresponsive", "", Patient(consciousness="pain")),
    ("reduced_consciousness", "", Patient(consciousness="verbal")),
    ("reduced_consciousness", "confusion", Patient()),
    ("not_breathing", "apnea loss_of_consciousness", Patient()),
    ("airway_threat", "drooling muffled_voice fever", Patient()),
    ("cardiac_chest_pain", "chest_pain cold_sweat", Patient()),
    ("cardiac_chest_pain", "chest_tightness radiating_pain_to_arm", Patient()),
    ("cardiac_chest_pain", "rest_chest_pain dyspnea", Patient()),
    ("aortic_pain", "tearing_pain chest_pain", Patient()),
    ("possible_pulmonary_embolism", "dyspnea one_sided_leg_swelling", Patient()),
    ("pulmonary_edema", "pink_frothy_sputum dyspnea", Patient()),
    ("dangerous_syncope", "syncope palpitations", Patient()),
    ("stroke_signs", "hemiparesis", Patient()),
    ("stroke_signs", "slurred_speech facial_droop", Patient()),
    ("possible_stroke_sign", "facial_droop", Patient()),
    ("thunderclap", "thunderclap_headache", Patient()),
    ("meningitis_signs", "fever neck_stiffness headache", Patient()),
    ("head_injury_danger", "head_injury vomiting", Patient()),
    ("seizure", "seizure", Patient()),
    ("cord_compression", "saddle_anesthesia low_back_pain", Patient()),
    ("ascending_paralysis", "ascending_weakness", Patient()),
    ("anaphylaxis", "hives dyspnea", Patient()),
    ("anaphylaxis", "lip_swelling wheezing food_exposure", Patient()),
    ("airway_swelling", "tongue_swelling", Patient()),
    ("vomiting_blood", "vomiting_blood", Patient()),
    ("gastrointestinal_bleeding_with_shock", "melena syncope", Patient()),
    ("peritonitis", "rebound_tenderness abdominal_pain", Patient()),
    ("bowel_obstruction", "bilious_vomiting", Patient()),
    ("biliary_sepsis", "fever jaundice right_upper_quadrant_pain", Patient()),
    ("ectopic_pregnancy", "missed_period vaginal_bleeding pelvic_pain", Patient(age=28, sex="female")),
    ("pregnancy_danger", "pregnancy headache blurred_vision", Patient()),
    ("testicular_torsion", "testicular_pain vomiting", Patient(age=14, sex="male")),
    ("suicidal_ideation", "suicidal_ideation", Patient()),
    ("self_harm", "self_harm", Patient()),
    ("poisoning", "poison_ingestion", Patient()),
    ("carbon_monoxide", "carbon_monoxide_exposure headache", Patient()),
    ("heat_illness", "heat_exposure confusion", Patient()),
    ("diabetic_emergency", "fruity_breath vomiting", Patient()),
    ("possible_septic_shock", "fever confusion", Patient()),
    ("fever_with_low_immunity", "fever immunosuppression", Patient()),
    ("bleeding_rash_with_fever", "fever petechiae", Patient()),
    ("acute_red_painful_eye", "eye_pain vision_loss", Patient()),
    ("severe_asthma", "wheezing cyanosis", Patient()),
    ("dehydrated_child", "dehydration drowsiness", Patient(age=1)),
]


@pytest.mark.parametrize(("flag", "said", "patient"), RAISED, ids=[f"{case[0]}-{case[1]}"[:50] for case in RAISED])
def test_raised(knowledge: KnowledgeBase, flag: str, said: str, patient: Patient) -> None:
    findings = _findings(said)
    assert all(finding.finding_id in knowledge.findings for finding in findings)
    assert flag in {red_flag.flag_id for red_flag in knowledge.red_flags(findings, patient)}


QUIET = [
    ("runny_nose sneezing sore_throat cough", Patient(age=30)),
    ("fever cough", _vitals(age=30, temperature=38.5, heart_rate=96, spo2=98, respiratory_rate=18, sbp=120)),
    ("chest_pain -cold_sweat -radiating_pain_to_arm -dyspnea", Patient(age=30)),
    ("-suicidal_ideation depressed_mood", Patient()),
    ("-hemiparesis headache", Patient()),
    ("hives pruritus -dyspnea", Patient()),
    ("low_back_pain", Patient(age=40)),
    ("", _vitals(age=0.5, heart_rate=150, respiratory_rate=40, sbp=85)),
    ("", _vitals(age=4, heart_rate=120, respiratory_rate=28, sbp=95)),
    ("", _vitals(sbp=120, dbp=80, heart_rate=72, respiratory_rate=16, temperature=36.6, spo2=98)),
    ("diarrhea abdominal_pain", Patient(age=25)),
    ("dysuria urinary_frequency", Patient(age=25, sex="female")),
    ("acne_comedones pustules", Patient()),
]


@pytest.mark.parametrize(("said", "patient"), QUIET, ids=[case[0][:40] or "vitals" for case in QUIET])
def test_not_raised(knowledge: KnowledgeBase, said: str, patient: Patient) -> None:
    assert knowledge.red_flags(_findings(said), patient) == ()


def test_a_special_case_counts_as_what_it_is_a_case_of(knowledge: KnowledgeBase) -> None:
    flags = knowledge.red_flags(_findings("pleuritic_pain cold_sweat"), Patient())
    assert "cardiac_chest_pain" in {flag.flag_id for flag in flags}


def test_most_urgent_first_and_named_in_the_language(knowledge: KnowledgeBase) -> None:
    flags = knowledge.red_flags(_findings("hives dyspnea hemiparesis melena"), Patient(), "ko")
    assert [flag.triage for flag in flags] == sorted(flag.triage for flag in flags)
    assert flags[0].flag_id == "anaphylaxis"
    assert flags[0].floor == "critical"
    assert flags[0].name == "아나필락시스 의심 징후"


def test_every_rule_can_hold(knowledge: KnowledgeBase) -> None:
    """Each clause, met exactly, raises its own flag: no rule is dead."""
    for rule in knowledge.red_flag_rules.values():
        for clause in rule.when:
            said = (*clause.all_of, *clause.any_of[: clause.at_least])
            vitals = {
                name: (bound.below - 0.5 if bound.below is not None else (bound.above or 0) + 0.5)
                for name, bound in clause.vitals.items()
            }
            age = None if clause.ages is None else (clause.ages[0] + clause.ages[1]) / 2
            consciousness = clause.consciousness[0] if clause.consciousness else None
            patient = Patient(age=age, sex=clause.sex, vitals=Vitals(**vitals), consciousness=consciousness)
            raised = {flag.flag_id for flag in knowledge.red_flags(_findings(" ".join(said)), patient)}
            assert rule.id in raised


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("I have crushing chest pain and broke out in a cold sweat.", "cardiac_chest_pain"),
        ("가슴을 쥐어짜는 듯이 아프고 식은땀이 나요", "cardiac_chest_pain"),
        ("갑자기 오른쪽 팔다리에 힘이 빠지고 말이 어눌해졌어요", "stroke_signs"),
        ("My face is drooping on one side and my speech is slurred", "stroke_signs"),
        ("땅콩을 먹고 온몸에 두드러기가 나고 숨이 차요", "anaphylaxis"),
        ("더 이상 살고 싶지 않아요", "suicidal_ideation"),
        ("I want to kill myself", "suicidal_ideation"),
        ("피를 토했어요", "vomiting_blood"),
        ("the worst headache of my life came on suddenly", "thunderclap"),
        ("망치로 맞은 것처럼 갑자기 머리가 아파요", "thunderclap"),
        ("생리가 두 달째 없고 아랫배가 아프면서 하혈을 해요", "ectopic_pregnancy"),
        ("남편이 쓰러졌는데 숨을 안 쉬어요", "not_breathing"),
    ],
)
def test_from_text(knowledge: KnowledgeBase, text: str, flag: str) -> None:
    flags = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text))
    assert flag in {red_flag.flag_id for red_flag in flags}
