"""The project's own knowledge files: what is in them, and how conditions are found and named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain import RiskLevel
from app.errors import NotFoundError
from app.knowledge.audit import audit
from app.knowledge.base import KnowledgeBase
from app.knowledge.specialties import specialty_name

ROOT = Path(__file__).resolve().parents[2]

DATASET_CONDITIONS = """
spontaneous_pneumothorax J93, cluster_headache G44, boerhaave_syndrome K22, spontaneous_rib_fracture S22,
gastroesophageal_reflux_disease K21, hiv_initial_infection B20, anemia D64, viral_pharyngitis J02, inguinal_hernia K40,
myasthenia_gravis G70, whooping_cough A37, anaphylaxis T78, epiglottitis J05, guillain_barre_syndrome G61,
acute_laryngitis J04, croup J05, paroxysmal_supraventricular_tachycardia I47, atrial_fibrillation I48,
bronchiectasis J47, allergic_rhinitis J30, chagas_disease B57, scombroid_food_poisoning T61, myocarditis I51,
laryngospasm J38, acute_dystonic_reactions G24, localized_edema R60, systemic_lupus_erythematosus M32, tuberculosis A15,
unstable_angina I20, stable_angina I20, ebola A98, acute_otitis_media H66, panic_attack F41, asthma J45, bronchitis J40,
copd_exacerbation J44, pulmonary_embolism I26, upper_respiratory_infection J06, influenza J11, pneumonia J18,
acute_rhinosinusitis J01, chronic_rhinosinusitis J32, bronchiolitis J21, pulmonary_neoplasm C34,
acute_myocardial_infarction I21, sarcoidosis D86, pancreatic_neoplasm C25, acute_pulmonary_edema J81, pericarditis I30,
psoriasis L40, varicose_veins I83, typhoid_fever A01, chickenpox B01, impetigo L01, dengue_fever A90,
fungal_skin_infection B35, common_cold J00, hemorrhoids K64, arthritis M13, acne L70, hypertension I10, migraine G43,
cervical_spondylosis M47, jaundice R17, malaria B54, urinary_tract_infection N39, allergy T78, drug_reaction T88,
peptic_ulcer_disease K27, diabetes_mellitus E14, covid19 U07, no_finding Z03, aortic_stenosis I35,
mitral_regurgitation I34, mitral_stenosis I05, mitral_valve_prolapse I34
"""
"""The labels of the public data sets, with the three-character ICD-10 codes that they are published under."""

LEVELS: tuple[RiskLevel, ...] = ("low", "moderate", "high", "critical")


@pytest.mark.parametrize("pair", [pair.strip() for pair in DATASET_CONDITIONS.split(",")])
def test_every_dataset_label_is_a_condition(knowledge: KnowledgeBase, pair: str) -> None:
    condition_id, code = pair.split()
    assert knowledge.conditions[condition_id].icd10[:3] == code


def test_breadth(knowledge: KnowledgeBase) -> None:
    assert len(DATASET_CONDITIONS.split(",")) == 76
    assert len(knowledge.conditions) >= 152
    assert len(knowledge.findings) >= 400


def test_the_trained_network_knows_no_condition_or_finding_that_is_not_here(knowledge: KnowledgeBase) -> None:
    """The other way round is allowed: what was added since is simply not predicted until the next training."""
    config = json.loads((ROOT / "models" / "embedded" / "fusion" / "config.json").read_text(encoding="utf-8"))
    assert set(config["conditions"]) <= set(knowledge.conditions)
    assert set(config["finding_ids"]) <= set(knowledge.findings)


def test_nothing_is_inconsistent(knowledge: KnowledgeBase) -> None:
    assert audit(knowledge) == []


def test_check_script_accepts_the_files() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "check_knowledge.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete and consistent" in done.stdout


def test_check_script_refuses_a_broken_folder(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "check_knowledge.py"), "--data", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "no YAML file" in done.stdout


def test_every_condition_can_be_told_in_both_languages(knowledge: KnowledgeBase) -> None:
    for condition_id, condition in knowledge.conditions.items():
        for level in LEVELS:
            english = knowledge.recommendations(condition_id, level, "en")
            korean = knowledge.recommendations(condition_id, level, "ko")
            assert english
            assert korean
            assert english != korean
        assert specialty_name(condition.specialty, "ko") != specialty_name(condition.specialty, "en")


MATCHES = [
    ("influenza", "influenza"),
    ("Influenza", "influenza"),
    ("  INFLUENZA ", "influenza"),
    ("J11", "influenza"),
    ("j11", "influenza"),
    ("J11.1", "influenza"),
    ("J111", "influenza"),
    ("인플루엔자", "influenza"),
    ("acute myocardial infarction", "acute_myocardial_infarction"),
    ("Acute-Myocardial_Infarction", "acute_myocardial_infarction"),
    ("급성 심근경색증", "acute_myocardial_infarction"),
    ("급성심근경색증", "acute_myocardial_infarction"),
    ("I21", "acute_myocardial_infarction"),
    ("acute_myocardial_infarction", "acute_myocardial_infarction"),
    ("편두통", "migraine"),
    ("Migraine", "migraine"),
    ("천식", "asthma"),
    ("천식".encode().decode(), "asthma"),
    ("Ｐｎｅｕｍｏｎｉａ", "pneumonia"),
    ("페 렴", None),
    ("I34", None),  # two valve diseases
    ("T78", None),  # anaphylaxis and allergy
    ("J05", None),  # croup and epiglottitis
    ("Z99", None),
    ("A", None),
    ("", None),
    ("   ", None),
    ("broken heart of gold", None),
    ("x" * 10_000, None),
    ("\x00", None),
]


@pytest.mark.parametrize(("text", "expected"), MATCHES, ids=lambda value: repr(value)[:30])
def test_match_condition(knowledge: KnowledgeBase, text: str, expected: str | None) -> None:
    assert knowledge.match_condition(text) == expected


def test_match_by_every_name(knowledge: KnowledgeBase) -> None:
    for condition in knowledge.conditions.values():
        for name in (condition.id, condition.name.en, condition.name.ko, condition.name.ko.replace(" ", "")):
            assert knowledge.match_condition(name) == condition.id


def test_a_synonym_of_two_conditions_is_neither(knowledge: KnowledgeBase) -> None:
    names: dict[str, set[str]] = {}
    for condition in knowledge.conditions.values():
        for name in (*condition.synonyms.en, *condition.synonyms.ko):
            names.setdefault(name, set()).add(condition.id)
    for name, ids in names.items():
        assert knowledge.match_condition(name) in {*ids, None} or len(ids) > 1


def test_names(knowledge: KnowledgeBase) -> None:
    assert knowledge.finding_name("chest_pain", "ko") == "가슴 통증"
    assert knowledge.finding_name("chest_pain", "en") == "chest pain"
    assert knowledge.red_flag_name("anaphylaxis", "ko") == "아나필락시스 의심 징후"
    assert knowledge.specialty_name("ent", "ko") == "이비인후과"


def test_unknown_ids_are_not_found(knowledge: KnowledgeBase) -> None:
    with pytest.raises(NotFoundError):
        knowledge.name("phlogiston_excess", "en")
    with pytest.raises(NotFoundError):
        knowledge.recommendations("phlogiston_excess", "low", "en")
    with pytest.raises(NotFoundError):
        knowledge.finding_name("phlogiston_excess", "en")
    with pytest.raises(NotFoundError):
        knowledge.red_flag_name("phlogiston_excess", "en")


def test_broader_findings(knowledge: KnowledgeBase) -> None:
    assert "chest_pain" in knowledge.broader("pleuritic_pain")
    assert {"lower_abdominal_pain", "abdominal_pain"} <= knowledge.broader("right_lower_quadrant_pain")
    assert knowledge.broader("fever") == frozenset()
