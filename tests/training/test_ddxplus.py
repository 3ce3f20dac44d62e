import random

import pytest

from app.training.ddxplus import STYLES, DdxPatient, DdxVerbaliser, statement_from_question

EVIDENCES = {
    "E_1": {"data_type": "B", "question_en": "Do you have a bad cough?"},
    "E_2": {"data_type": "B", "question_en": "Is your tongue dry?"},
    "E_55": {
        "data_type": "M",
        "question_en": "Where does it hurt?",
        "value_meaning": {"V_1": {"en": "chest(R)"}, "V_2": {"en": "belly"}, "V_123": {"en": "nowhere"}},
    },
    "E_56": {"data_type": "C", "question_en": "How bad is it?", "value_meaning": {}},
    "E_129": {"data_type": "B", "question_en": "Do you have spots?"},
    "E_130": {"data_type": "C", "question_en": "Which colour are they?", "value_meaning": {"V_9": {"en": "pink"}}},
}
PATIENT = DdxPatient(45, "male", "Pneumonia", ("E_1", "E_55_@_V_1", "E_55_@_V_2", "E_56_@_7"), "E_1")


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("Do you have a sore elbow?", "I have a sore elbow."),
        ("Are you left-handed?", "I am left-handed."),
        ("Have you ever had a snake bite?", "I have had a snake bite."),
        ("Have you recently had a long flight?", "I have recently had a long flight."),
        ("Is your tongue much drier than usual?", "My tongue is much drier than usual."),
        ("Did you sneeze after lunch?", "I did sneeze after lunch."),
        ("Have any of your family members broken a leg?", "Some of my family members have broken a leg."),
        ("Do you think you are lost or are you currently lost?", "I think I am lost or I am currently lost."),
    ],
)  # fmt: skip
def test_questions_become_statements(question: str, statement: str) -> None:
    assert statement_from_question(question) == statement


@pytest.mark.parametrize("style", STYLES)
def test_every_style_states_age_and_first_complaint_and_is_reproducible(style: str) -> None:
    verbaliser = DdxVerbaliser(EVIDENCES)
    text = verbaliser.write(PATIENT, style, random.Random(1))
    assert "45" in text
    assert "cough" in text
    assert text == verbaliser.write(PATIENT, style, random.Random(1))


def test_values_are_written_out_with_their_side() -> None:
    text = DdxVerbaliser(EVIDENCES).write(PATIENT, "full", random.Random(0))
    assert "right chest and belly" in text
    assert "7" in text


def test_rash_details_need_a_rash() -> None:
    without = DdxPatient(30, "female", "x", ("E_1", "E_130_@_V_9"), "E_1")
    with_rash = DdxPatient(30, "female", "x", ("E_1", "E_129", "E_130_@_V_9"), "E_1")
    verbaliser = DdxVerbaliser(EVIDENCES)
    assert all("pink" in verbaliser.write(with_rash, "full", random.Random(n)) for n in range(10))
    assert sum("pink" in verbaliser.write(without, "full", random.Random(n)) for n in range(50)) < 25
