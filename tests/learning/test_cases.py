from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.domain import Source
from app.errors import ArtifactError
from app.fusion.artifact import EncoderIdentity, FusionConfig, load_artifact
from app.fusion.tokens import VITALS_WIDTH, EvidenceToken
from app.learning.cases import LearningSet, LearningSets, SafetyFloor, in_gate, load_learning_sets, save_learning_sets
from app.training.tokens import OUTSIDE, LabelledTokens

FINDINGS = ("fever", "cough", "rash")
SHIPPED = Path("models/embedded/learning")


def config(**changes: object) -> FusionConfig:
    identity = EncoderIdentity(
        architecture="x", source="y", source_revision="1", hidden_size=8, cut_layer=2, prompt_prefix=""
    )
    values: dict[str, object] = {
        "network": {},
        "conditions": ("gout", "sepsis"),
        "severities": (2, 5),
        "finding_ids": FINDINGS,
        "knowledge_version": "k",
        "encoders": {"omni": identity, "medical": identity},
        "sequence_layout": "independent",
        "seed": 0,
    }
    return FusionConfig.model_validate({**values, **changes})


def token_case(seed: int, condition: int, *, image: bool = False) -> LabelledTokens:
    rng = np.random.default_rng(seed)
    findings = np.array([1, 0, 0, 0, 1, 0], np.float32)
    tokens = [
        EvidenceToken(Source.OMNI_TEXT.value, rng.standard_normal(8).astype(np.float32)),
        EvidenceToken(Source.FINDINGS.value, findings),
        EvidenceToken(Source.VITALS.value, rng.standard_normal(VITALS_WIDTH).astype(np.float32)),
    ]
    if image:
        tokens[1:1] = [
            EvidenceToken(Source.OMNI_IMAGE.value, rng.standard_normal(8).astype(np.float32)) for _ in range(2)
        ]
    return LabelledTokens("ktas" if image else "phrasebook", tuple(tokens), condition, 2, 0.5, "ko" if image else "en")


@pytest.fixture
def sets() -> LearningSets:
    return LearningSets(
        LearningSet(tuple(token_case(n, n % 2, image=n == 3) for n in range(5))),
        LearningSet((token_case(10, OUTSIDE),)),
        LearningSet((token_case(11, 1),)),
        LearningSet((token_case(12, 1), token_case(13, 0)), (SafetyFloor("critical", 1), None)),
    )


def test_what_is_read_is_what_was_written(sets: LearningSets, tmp_path: Path):
    save_learning_sets(tmp_path, sets, config())
    read = load_learning_sets(tmp_path, config())
    for name in ("replay", "calibration", "gate", "emergencies"):
        for written, found in zip(getattr(sets, name).cases, getattr(read, name).cases, strict=True):
            assert (found.group, found.condition, found.triage, found.triage_weight, found.language) == (
                written.group,
                written.condition,
                written.triage,
                written.triage_weight,
                written.language,
            )
            for expected, given in zip(written.tokens, found.tokens, strict=True):
                assert given.source == expected.source
                np.testing.assert_allclose(given.vector, expected.vector, atol=2e-3)
                assert given.vector.dtype == np.float32
    assert read.emergencies.floors == sets.emergencies.floors


def test_cases_of_a_condition_can_be_left_out_with_their_floors(sets: LearningSets):
    kept = sets.emergencies.without(frozenset({0}))
    assert [case.condition for case in kept.cases] == [1]
    assert kept.floors == (SafetyFloor("critical", 1),)


@pytest.mark.parametrize("name", ["replay", "calibration", "gate", "emergencies"])
def test_a_changed_byte_is_refused(sets: LearningSets, tmp_path: Path, name: str):
    save_learning_sets(tmp_path, sets, config())
    path = tmp_path / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="learning_sets_damaged"):
        load_learning_sets(tmp_path, config())


@pytest.mark.parametrize(
    "changes", [{"conditions": ("gout", "flu")}, {"finding_ids": ("fever",)}, {"encoders": {}}], ids=str
)
def test_sets_of_another_network_are_refused(sets: LearningSets, tmp_path: Path, changes: dict[str, object]):
    save_learning_sets(tmp_path, sets, config())
    with pytest.raises(ArtifactError, match="learning_sets_mismatch"):
        load_learning_sets(tmp_path, config(**changes))


def test_missing_or_unreadable_sets_are_refused(sets: LearningSets, tmp_path: Path):
    with pytest.raises(ArtifactError, match="learning_sets_missing"):
        load_learning_sets(tmp_path / "none", config())
    save_learning_sets(tmp_path, sets, config())
    (tmp_path / "manifest.json").write_text(json.dumps({"format_version": 1}))
    with pytest.raises(ArtifactError, match="learning_sets_invalid"):
        load_learning_sets(tmp_path, config())


def test_the_gate_is_a_fixed_half():
    inside = [key for key in range(1000) if in_gate("ddxplus", str(key))]
    assert 450 < len(inside) < 550
    assert inside[:8] == [n for n in range(40) if in_gate("ddxplus", str(n))][:8]
    assert in_gate("ddxplus", "3") is in_gate("ddxplus", "3")


def test_the_shipped_sets_belong_to_the_shipped_network_and_share_no_case():
    shipped = load_learning_sets(SHIPPED, load_artifact(Path("models/embedded/fusion")).config)

    def prints(cases: tuple[LabelledTokens, ...]) -> set[bytes]:
        return {b"".join(token.vector.tobytes() for token in case.tokens) for case in cases}

    gate, calibration, replay = (prints(one.cases) for one in (shipped.gate, shipped.calibration, shipped.replay))
    assert len(gate & replay) <= 2  # a generated complaint can read the same twice
    assert len(gate & calibration) <= 2
    assert len(shipped.gate.cases) > 1000
    labels = {case.condition for case in shipped.gate.cases if case.condition >= 0}
    assert len(labels) == 159
