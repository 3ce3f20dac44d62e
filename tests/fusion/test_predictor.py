import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.domain import ClinicalScore, Embedding, Evidence, Finding, FindingQualifier, Patient, RedFlag, Source
from app.errors import ArtifactError
from app.fusion.artifact import EncoderIdentity, load_artifact
from app.fusion.predictor import MIN_DIFFERENTIAL, FusionPredictor

RNG = np.random.default_rng(1)


def embedding(source: Source, width: int, scale: float = 1.0) -> Embedding:
    return Embedding(source, (scale * RNG.standard_normal(width)).astype(np.float32))


@pytest.fixture
def predictor(folder: Path, identity: EncoderIdentity) -> FusionPredictor:
    return FusionPredictor.load(folder, {"omni": identity, "medical": identity})


def full_case() -> Evidence:
    return Evidence(
        embeddings=(
            embedding(Source.OMNI_TEXT, 12),
            embedding(Source.OMNI_IMAGE, 12),
            embedding(Source.MEDICAL_TEXT, 8),
        ),
        findings=(Finding("cough", True, "cough", 0, 5),),
        patient=Patient(age=60, sex="male"),
    )


def test_a_prediction_is_ranked_calibrated_and_whole(predictor: FusionPredictor) -> None:
    prediction = predictor.predict(full_case())
    probabilities = [candidate.probability for candidate in prediction.differential]
    assert len(probabilities) >= MIN_DIFFERENTIAL
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1.0 + 1e-5
    assert 1 <= prediction.set_size <= len(probabilities)
    assert prediction.risk.confidence == pytest.approx(probabilities[0])
    assert prediction.status == "ok"


def test_attribution_names_every_source_and_sums_to_one(predictor: FusionPredictor) -> None:
    attribution = predictor.predict(full_case()).attribution
    assert set(attribution) == {"omni/text", "omni/image", "medical/text", "findings", "vitals"}
    assert sum(attribution.values()) == pytest.approx(1.0)
    assert min(attribution.values()) >= 0.0


def test_a_single_source_carries_everything(predictor: FusionPredictor) -> None:
    prediction = predictor.predict(Evidence((embedding(Source.OMNI_IMAGE, 12),)))
    assert prediction.attribution == {"omni/image": 1.0}


def test_the_same_case_gives_the_same_answer(predictor: FusionPredictor) -> None:
    case = full_case()
    assert predictor.predict(case) == predictor.predict(case)


def test_clinical_scores_reach_the_risk(predictor: FusionPredictor) -> None:
    score = ClinicalScore("NEWS2", 9, "high", True, "critical", 1, "NEWS2 9", "RCP 2017")
    risk = predictor.predict(Evidence((embedding(Source.OMNI_IMAGE, 12),), scores=(score,))).risk
    assert (risk.level, risk.triage) == ("critical", 1)


def test_red_flags_reach_the_risk(predictor: FusionPredictor) -> None:
    case = Evidence((embedding(Source.OMNI_IMAGE, 12),), red_flags=(RedFlag("shock", "critical", 1, "Shock"),))
    risk = predictor.predict(case).risk
    assert risk.level == "critical"
    assert risk.triage == 1


def test_far_from_training_without_findings_is_insufficient(predictor: FusionPredictor) -> None:
    prediction = predictor.predict(Evidence((embedding(Source.OMNI_TEXT, 12, scale=30.0),)))
    assert prediction.status == "insufficient_evidence"
    assert prediction.warnings == ("out_of_scope",)


def test_a_text_without_a_finding_needs_more_certainty(predictor: FusionPredictor) -> None:
    text = embedding(Source.OMNI_TEXT, 12)
    unread = predictor.predict(Evidence((text,)))
    read = predictor.predict(Evidence((text,), (Finding("cough", True, "cough", 0, 5),)))
    assert unread.risk.confidence < 0.9
    assert unread.warnings == ("out_of_scope",)
    assert read.status == "ok"


def test_no_evidence_is_refused(predictor: FusionPredictor) -> None:
    with pytest.raises(ValueError, match="without evidence"):
        predictor.predict(Evidence(()))


def test_other_encoders_are_refused(folder: Path, identity: EncoderIdentity) -> None:
    other = identity.model_copy(update={"source_revision": "another"})
    with pytest.raises(ArtifactError, match="fusion_encoder_mismatch"):
        FusionPredictor.load(folder, {"omni": identity, "medical": other})


@pytest.mark.parametrize("name", ["weights.safetensors", "calibration.json", "config.json", "regions.safetensors"])
def test_a_damaged_or_missing_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="fusion_file_damaged"):
        load_artifact(folder)
    path.unlink()
    with pytest.raises(ArtifactError, match="fusion_file_damaged"):
        load_artifact(folder)


def test_no_manifest_no_load(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="fusion_not_found"):
        load_artifact(folder)


@pytest.mark.parametrize("manifest", ["", "{}", "[]", '{"files": 3}'])
def test_a_strange_manifest_is_refused(folder: Path, manifest: str) -> None:
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(ArtifactError):
        load_artifact(folder)


def test_version_follows_content(folder: Path) -> None:
    first = load_artifact(folder).version
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(first) == 12
    assert set(manifest["files"]) >= {"weights.safetensors", "config.json"}


# --------------------------------------------------------------------------- findings for and against
def found(finding_id: str, *, present: bool = True, qualifier: FindingQualifier | None = None) -> Finding:
    return Finding(finding_id, present, finding_id, 0, len(finding_id), qualifier)


def test_effects_are_what_the_case_loses_without_each_finding(predictor: FusionPredictor) -> None:
    case = replace(full_case(), findings=(found("cough"), found("fever", present=False), found("chest_pain")))
    prediction = predictor.predict(case)
    top = prediction.differential[0].condition_id
    assert list(prediction.finding_effects) == ["cough", "fever", "chest_pain"]
    for index, effect in enumerate(prediction.finding_effects.values()):
        without = replace(case, findings=case.findings[:index] + case.findings[index + 1 :])
        full, less = predictor.log_odds([case, without], top)
        assert effect == pytest.approx(full - less, abs=1e-4)
    assert any(abs(effect) > 0.01 for effect in prediction.finding_effects.values())


def test_findings_that_the_network_does_not_see_have_no_effect(predictor: FusionPredictor) -> None:
    case = replace(
        full_case(),
        findings=(found("cough"), found("unknown"), found("fever", present=False, qualifier="family")),
    )
    assert list(predictor.predict(case).finding_effects) == ["cough"]
    assert predictor.predict(replace(case, findings=())).finding_effects == {}


def test_the_only_evidence_left_out_is_weighed_against_knowing_nothing(predictor: FusionPredictor) -> None:
    prediction = predictor.predict(Evidence((), (found("cough"),)))
    top = prediction.differential[0]
    expected = np.log(top.probability / (1 - top.probability)) - np.log(1 / (len(predictor.conditions) - 1))
    assert prediction.finding_effects["cough"] == pytest.approx(float(expected), abs=1e-3)


def test_leaving_findings_out_changes_nothing_else(predictor: FusionPredictor) -> None:
    """One batch holds all variants: its padding must not leak into the case's own answer."""
    case = replace(full_case(), findings=(found("cough"), found("chest_pain"), found("fever")))
    prediction = predictor.predict(case)
    assert sum(prediction.attribution.values()) == pytest.approx(1.0)
    assert set(prediction.attribution) == {"omni/text", "omni/image", "medical/text", "findings", "vitals"}
    for candidate in prediction.differential:
        (odds,) = predictor.log_odds([case], candidate.condition_id)
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(candidate.probability, abs=1e-4)


def test_log_odds_are_of_the_condition_that_is_asked_for(predictor: FusionPredictor) -> None:
    case = full_case()
    odds = [predictor.log_odds([case], condition)[0] for condition in predictor.conditions]
    assert sum(1 / (1 + np.exp(-value)) for value in odds) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ValueError, match="not in tuple"):
        predictor.log_odds([case], "no_such_condition")
