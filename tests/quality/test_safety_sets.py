"""The hand-written safety sets are whole: how many, in which languages, nothing twice, and bad files are refused."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain import Patient
from app.evaluation.safety_sets import (
    LANGUAGES,
    VOICES,
    InvarianceSet,
    SafetySetError,
    demographic_patients,
    load_invariance,
    load_non_medical_texts,
    load_voiced_cases,
)

HERE = Path(__file__).parent
VOICED = ("emergencies.yaml", "harmless.yaml")
HANGUL = re.compile(r"[\u3131-\u318e\uac00-\ud7a3]")
HANGUL_SYLLABLE = re.compile(r"[\uac00-\ud7a3]")
VITALS = re.compile(r"BP \d+/\d+|SpO2 \d+")
SAYS_WHO = re.compile(r"\b(man|woman|male|female|boy|girl|year-old)\b|남자|남성|여자|여성|\d세|\d살", re.IGNORECASE)
CASE_ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


def all_texts() -> list[str]:
    invariance = load_invariance(HERE / "invariance.yaml")
    bilingual = [*invariance.patients, *(case for name in VOICED for case in load_voiced_cases(HERE / name))]
    return [
        *(case.text(language) for case in bilingual for language in LANGUAGES),
        *(text for swap in invariance.synonyms for text in (swap.first, swap.second)),
        *(entry.text for entry in load_non_medical_texts(HERE / "non_medical.yaml")),
    ]


def is_korean(text: str) -> bool:
    """A chart note mixes in English terms and abbreviations; Korean sentences still hold some Hangul words."""
    return len(HANGUL_SYLLABLE.findall(text)) >= 8


@pytest.fixture(scope="module")
def invariance() -> InvarianceSet:
    return load_invariance(HERE / "invariance.yaml")


@pytest.mark.parametrize("name", VOICED)
def test_eighty_cases_in_every_voice(name: str) -> None:
    cases = load_voiced_cases(HERE / name)
    assert len(cases) == 80
    assert {case.voice for case in cases} == set(VOICES)
    assert all(CASE_ID.fullmatch(case.case_id) for case in cases)


@pytest.mark.parametrize("name", VOICED)
def test_each_text_is_in_its_language(name: str) -> None:
    for case in load_voiced_cases(HERE / name):
        assert is_korean(case.ko), case.case_id
        assert not HANGUL.search(case.en), case.case_id
        assert not HANGUL.search(case.what), case.case_id


@pytest.mark.parametrize("name", VOICED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_some_notes_hold_vital_signs(name: str, language: str) -> None:
    notes = [case for case in load_voiced_cases(HERE / name) if case.voice == "clinician"]
    assert sum(bool(VITALS.search(case.ko if language == "ko" else case.en)) for case in notes) >= 2


def test_both_languages_give_the_same_vital_signs() -> None:
    for name in VOICED:
        for case in load_voiced_cases(HERE / name):
            assert VITALS.findall(case.ko) == VITALS.findall(case.en), case.case_id


def test_no_case_is_both_an_emergency_and_harmless() -> None:
    emergencies, harmless = ({case.case_id for case in load_voiced_cases(HERE / name)} for name in VOICED)
    assert not emergencies & harmless


def test_no_text_stands_twice() -> None:
    repeated = [
        text for text, times in Counter(" ".join(text.lower().split()) for text in all_texts()).items() if times > 1
    ]
    assert not repeated


def test_who_the_patient_is_stands_in_no_text_where_it_must_not_matter(invariance: InvarianceSet) -> None:
    assert len(invariance.patients) >= 40
    for case in invariance.patients:
        assert is_korean(case.ko), case.case_id
        assert not HANGUL.search(case.en), case.case_id
        assert not SAYS_WHO.search(case.ko + case.en), case.case_id


def test_every_sex_and_age_is_asked_for() -> None:
    patients = demographic_patients()
    assert patients[0] == Patient()
    assert {(patient.sex, patient.age) for patient in patients[1:]} == {
        ("female", 30),
        ("female", 70),
        ("male", 30),
        ("male", 70),
    }


def test_synonym_swaps_stand_in_both_languages(invariance: InvarianceSet) -> None:
    counts = Counter(swap.language for swap in invariance.synonyms)
    assert sum(counts.values()) >= 40
    assert min(counts[language] for language in LANGUAGES) >= 20
    for swap in invariance.synonyms:
        assert is_korean(swap.first + swap.second) == (swap.language == "ko"), swap.case_id


def test_synonym_swaps_differ_in_one_or_two_places(invariance: InvarianceSet) -> None:
    for swap in invariance.synonyms:
        first, second = swap.first.split(), swap.second.split()
        blocks = [op for op in difflib.SequenceMatcher(None, first, second, False).get_opcodes() if op[0] != "equal"]
        gone, come = (sum(op[end] - op[end - 1] for op in blocks) for end in (2, 4))
        assert 1 <= len(blocks) <= 2, swap.case_id
        assert min(gone, come) <= 2, swap.case_id
        assert max(gone, come) <= 3, swap.case_id


def test_fifty_two_texts_are_no_case() -> None:
    entries = load_non_medical_texts(HERE / "non_medical.yaml")
    assert Counter(entry.language for entry in entries) == {"ko": 26, "en": 26}
    assert len({entry.kind for entry in entries}) >= 12
    for entry in entries:
        assert bool(HANGUL.search(entry.text)) == (entry.language == "ko"), entry.case_id


BLANK = "'  '"
GOOD = "{id: a, what: cold, voice: patient, ko: 콧물이 나요, en: My nose runs}"
BAD = {
    "no list": ("cases: []", "not empty"),
    "another list": (f"cases: [{GOOD}]\nothers: []", "nothing else"),
    "not a mapping": ("cases: [text]", "entry 1: not a mapping"),
    "id twice": (f"cases: [{GOOD}, {GOOD}]", "id used twice: a"),
    "field missing": ("cases: [{id: a, what: cold, voice: patient, ko: 콧물}]", "expected the fields"),
    "unknown voice": (f"cases: [{GOOD.replace('patient', 'robot')}]", "'robot' is none of"),
    "blank text": (f"cases: [{GOOD.replace('My nose runs', BLANK)}]", "en must be text"),
    "number for text": (f"cases: [{GOOD.replace('My nose runs', '7')}]", "en must be text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SafetySetError, match=re.escape(reason)):
        load_voiced_cases(path)


@pytest.mark.parametrize(
    ("load", "content", "reason"),
    [
        (
            load_invariance,
            "patients: [{id: a, what: b, ko: c, en: d}]\nsynonyms: [{id: a, language: en, first: b, second: b}]",
            "same",
        ),
        (load_non_medical_texts, "texts: [{id: a, kind: b, language: fr, text: c}]", "'fr' is none of"),
    ],
)
def test_the_other_lists_are_checked_too(
    load: Callable[[Path], object], content: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SafetySetError, match=reason):
        load(path)
