import numpy as np

from app.domain import Embedding, Evidence, Finding, Patient, Source, Vitals
from app.fusion.tokens import VITALS_WIDTH, EvidenceCodec, vitals_vector

CODEC = EvidenceCodec(("chest_pain", "cough", "fever"))


def finding(name: str, *, present: bool) -> Finding:
    return Finding(name, present, "x", 0, 1)


def test_present_and_negated_findings_have_places_of_their_own() -> None:
    vector = CODEC.findings_vector([finding("cough", present=True), finding("fever", present=False)])
    assert vector.tolist() == [0, 1, 0, 0, 0, 1]


def test_what_is_neither_had_nor_denied_is_left_out() -> None:
    supposed = Finding("fever", True, "x", 0, 1, "uncertain")
    of_a_relative, long_over = (
        Finding("cough", False, "x", 0, 1, "family"),
        Finding("chest_pain", False, "x", 0, 1, "past"),
    )
    assert CODEC.findings_vector([supposed, of_a_relative, long_over]).tolist() == [0, 0, 1, 0, 0, 0]


def test_unknown_findings_are_left_out() -> None:
    assert not CODEC.findings_vector([finding("not_in_the_list", present=True)]).any()


def test_a_source_without_content_gives_no_token() -> None:
    embedding = Embedding(Source.OMNI_TEXT, np.ones(4, np.float32))
    assert [token.source for token in CODEC.tokens(Evidence((embedding,)))] == ["omni/text"]
    full = Evidence((embedding,), (finding("cough", present=True),), patient=Patient(age=40))
    assert [token.source for token in CODEC.tokens(full)] == ["omni/text", "findings", "vitals"]


def test_vitals_tell_missing_from_normal() -> None:
    normal = vitals_vector(Patient(vitals=Vitals(sbp=125)))
    missing = vitals_vector(Patient())
    assert normal.shape == missing.shape == (VITALS_WIDTH,)
    assert not missing.any()
    assert normal.any()


def test_extreme_vitals_stay_bounded() -> None:
    patient = Patient(age=120, sex="male", vitals=Vitals(300, 200, 300, 80, 45, 40), consciousness="pain", pain=10)
    assert np.abs(vitals_vector(patient)).max() <= 5.0
