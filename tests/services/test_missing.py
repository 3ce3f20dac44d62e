"""What an abstaining answer asks for: what this case lacks, no more than four sentences, in its language."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.domain import (
    Candidate,
    Case,
    Evidence,
    Finding,
    FindingQualifier,
    Image,
    Patient,
    Prediction,
    Risk,
    Video,
    Vitals,
    Waveform,
)
from app.knowledge.base import KnowledgeBase
from app.services import missing
from app.services.missing import MAX_SENTENCES, Sentence, what_would_help

PIXELS = np.zeros((16, 16, 3), np.uint8)
SOUND = Waveform(np.zeros(1600, np.float32))
KNOWN = Patient(age=40, sex="female", vitals=Vitals(temperature=37.0))
SENTENCES = [item for item in vars(missing).values() if isinstance(item, Sentence)] + [*missing.UNKNOWN_MEDIA.values()]


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()


def found(
    finding_id: str, *, present: bool = True, days: float | None = None, qualifier: FindingQualifier | None = None
) -> Finding:
    return Finding(finding_id, present, "", 0, 0, qualifier, days)


WHOLE = (found("cough", days=3.0), found("fever"), found("chest_pain", present=False))
"""Findings after which nothing more has to be asked for."""


def prediction(*conditions: str, warnings: tuple[str, ...] = ("low_certainty",)) -> Prediction:
    return Prediction(
        status="insufficient_evidence",
        differential=tuple(Candidate(condition, 0.2) for condition in conditions or ("migraine", "gout", "anemia")),
        coverage=0.9,
        set_size=3,
        risk=Risk(0.2, "low", 0.2, 4),
        attribution={},
        warnings=warnings,
    )


def asked(
    knowledge: KnowledgeBase,
    case: Case,
    findings: tuple[Finding, ...] = WHOLE,
    patient: Patient = KNOWN,
    given: Prediction | None = None,
) -> tuple[str, ...]:
    return what_would_help(case, Evidence((), findings, patient=patient), given or prediction(), knowledge)


def case(text: str | None = "cough for three days", **parts) -> Case:
    return Case(language="en", text=text, **parts)


# --------------------------------------------------------------------------- what is missing
@pytest.mark.parametrize(
    ("findings", "patient", "expected"),
    [
        (WHOLE, KNOWN, missing.ANYTHING_ELSE),
        ((found("cough"), *WHOLE[1:]), KNOWN, missing.ONSET),
        (WHOLE[:2], KNOWN, missing.OTHER_SYMPTOMS),
        ((WHOLE[0], WHOLE[2]), KNOWN, missing.OTHER_SYMPTOMS),
        (WHOLE, replace(KNOWN, age=None), missing.AGE),
        (WHOLE, replace(KNOWN, sex=None), missing.SEX),
        (WHOLE, replace(KNOWN, age=None, sex=None), missing.AGE_AND_SEX),
        (WHOLE, replace(KNOWN, vitals=Vitals()), missing.VITAL_SIGNS),
        ((), KNOWN, missing.UNREAD_TEXT),
        ((found("asthma", present=False, qualifier="family"),), KNOWN, missing.UNREAD_TEXT),
    ],
)
def test_what_is_missing_is_asked_for_and_nothing_else(
    knowledge: KnowledgeBase, findings: tuple[Finding, ...], patient: Patient, expected: Sentence
) -> None:
    assert asked(knowledge, case("cough"), findings, patient) == (expected.en,)


@pytest.mark.parametrize(
    "text",
    [
        "Ill since yesterday. Cough.",
        "I have been ill for three days! I cough.",
        "사흘째입니다. 기침해요",
        "기침.\n2주 전부터",
    ],
)
def test_a_duration_counts_in_whichever_sentence_it_stands(knowledge: KnowledgeBase, text: str) -> None:
    findings = (found("cough"), *WHOLE[1:])
    assert missing.ONSET.en not in asked(knowledge, case(text), findings)
    assert missing.ONSET.en in asked(knowledge, case("cough. 3 tablets."), findings)


# --------------------------------------------------------------------------- pictures and sounds
@pytest.mark.parametrize(
    ("leading", "expected"),
    [
        ("psoriasis", missing.SKIN_PHOTO),
        ("chickenpox", missing.SKIN_PHOTO),
        ("pneumonia", missing.CHEST_XRAY),
        ("heart_failure", missing.CHEST_XRAY),
        ("mitral_stenosis", missing.HEART_SOUND),
    ],
)
def test_a_picture_or_sound_that_would_tell_is_asked_for(
    knowledge: KnowledgeBase, leading: str, expected: Sentence
) -> None:
    given = prediction("migraine", "gout", leading)
    assert asked(knowledge, case(), given=given) == (expected.en,)
    film = Video(np.zeros((1, 16, 16, 3), np.uint8), 1.0, SOUND)
    media = {"audio": SOUND} if expected is missing.HEART_SOUND else {"images": (Image(PIXELS),)}
    assert asked(knowledge, case(**media), given=given) == (missing.ANYTHING_ELSE.en,)
    assert asked(knowledge, case(video=film), given=given) == (missing.ANYTHING_ELSE.en,)
    late = prediction("migraine", "gout", "anemia", leading)
    assert asked(knowledge, case(), given=late) == (missing.ANYTHING_ELSE.en,)


def test_the_listed_conditions_exist(knowledge: KnowledgeBase) -> None:
    assert set(knowledge.conditions) >= missing.SKIN | missing.CHEST | missing.VALVES


@pytest.mark.parametrize(("media", "kind"), [
    ({"images": (Image(PIXELS),)}, "image"),
    ({"audio": SOUND}, "audio"),
    ({"video": Video(np.zeros((1, 16, 16, 3), np.uint8), 1.0)}, "video"),
])  # fmt: skip
def test_media_of_another_kind_are_said_to_be_unknown(knowledge: KnowledgeBase, media: dict, kind: str) -> None:
    out = prediction("pneumonia", "psoriasis", "mitral_stenosis", warnings=("out_of_scope", "low_certainty"))
    alone = asked(knowledge, case(None, **media), (), given=out)
    assert alone == (missing.UNKNOWN_MEDIA[kind].en, missing.COMPLAINT.en), "and no chest X-ray on top of it"
    known = asked(knowledge, case(None, **media), (), given=prediction("migraine"))
    assert known == (missing.COMPLAINT.en,)


def test_a_text_that_is_no_case_is_asked_for_the_complaint_first(knowledge: KnowledgeBase) -> None:
    out = prediction(warnings=("out_of_scope",))
    sentences = asked(knowledge, case("Where is Paris?"), (), Patient(), out)
    assert sentences == (missing.UNREAD_TEXT.en, missing.AGE_AND_SEX.en, missing.VITAL_SIGNS.en)


# --------------------------------------------------------------------------- how it is said
def test_the_most_useful_comes_first_and_four_are_enough(knowledge: KnowledgeBase) -> None:
    given = prediction("psoriasis", "pneumonia", "mitral_stenosis")
    sentences = asked(knowledge, case("cough"), (found("cough"),), Patient(), given)
    expected = (missing.ONSET, missing.SKIN_PHOTO, missing.CHEST_XRAY, missing.HEART_SOUND)
    assert sentences == tuple(sentence.en for sentence in expected)
    assert len(sentences) == MAX_SENTENCES
    assert sentences == asked(knowledge, case("cough"), (found("cough"),), Patient(), given)


def test_a_korean_case_is_asked_in_korean(knowledge: KnowledgeBase) -> None:
    korean = replace(case("기침"), language="ko")
    sentences = asked(knowledge, korean, (found("cough"),), Patient())
    assert sentences[0] == missing.ONSET.ko
    assert all(any("가" <= letter <= "힣" for letter in sentence) for sentence in sentences)


def test_every_sentence_stands_in_both_languages() -> None:
    assert len(SENTENCES) >= 14
    for sentence in SENTENCES:
        assert sentence.en.endswith(".")
        assert sentence.en.isascii()
        assert sentence.ko.endswith("십시오.")
        assert sentence.get("en") == sentence.en
        assert sentence.get("ko") == sentence.ko
