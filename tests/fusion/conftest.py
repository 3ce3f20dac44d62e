"""A small AFNet with a calibration, saved as a fusion folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.domain import Source
from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.artifact import EncoderIdentity, FusionConfig, save_artifact
from app.fusion.calibration import Calibration, TrainingRegion
from app.fusion.tokens import VITALS_WIDTH

FINDINGS = ("chest_pain", "cough", "fever")
CONDITIONS = ("acute_myocardial_infarction", "common_cold", "pneumonia", "no_finding", "migraine", "asthma")
SEVERITIES = (5, 1, 4, 1, 2, 3)
WIDTHS = {
    Source.OMNI_TEXT.value: 12,
    Source.OMNI_IMAGE.value: 12,
    Source.MEDICAL_TEXT.value: 8,
    Source.FINDINGS.value: 2 * len(FINDINGS),
    Source.VITALS.value: VITALS_WIDTH,
}


@pytest.fixture
def identity() -> EncoderIdentity:
    return EncoderIdentity(
        architecture="LlamaForCausalLM", source="t", source_revision="r", hidden_size=8, cut_layer=2, prompt_prefix=""
    )


@pytest.fixture
def network() -> AFNet:
    torch.manual_seed(0)
    config = AFNetConfig(WIDTHS, conditions=len(CONDITIONS), width=32, heads=4, layers=2)
    return AFNet(config).eval()


@pytest.fixture
def calibration() -> Calibration:
    groups = ("text", "image", "audio", "video", "mixed")
    return Calibration(
        temperature=dict.fromkeys(groups, 1.0),
        coverage=0.9,
        conformal_mass=dict.fromkeys(groups, 0.6),
        min_probability=dict.fromkeys(groups, 0.0),
        min_probability_unread=0.9,
        triage_cuts=(1.5, 2.5, 3.5, 4.5),
        distance_limits={Source.OMNI_TEXT.value: 4.0},
        fitted_on=dict.fromkeys(groups, 10),
    )


@pytest.fixture
def folder(tmp_path: Path, network: AFNet, calibration: Calibration, identity: EncoderIdentity) -> Path:
    config = FusionConfig(
        network=network.config.to_dict(),
        conditions=CONDITIONS,
        severities=SEVERITIES,
        finding_ids=FINDINGS,
        knowledge_version="k",
        encoders={"omni": identity, "medical": identity},
        sequence_layout="independent",
        seed=0,
    )
    region = TrainingRegion(
        np.zeros(12, np.float32), np.eye(12, dtype=np.float32), np.ones(12, np.float32), np.ones(1, np.float32)
    )
    path = tmp_path / "fusion"
    save_artifact(
        path,
        config=config,
        network=network,
        calibration=calibration,
        regions={Source.OMNI_TEXT.value: region},
        report={"note": "test"},
    )
    return path
