"""Converted checkpoints of the exact classes, tiny, and a random AFNet on top: real parts that load in a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.conversion.pipeline import ConversionRequest, convert
from app.conversion.progress import NoProgress
from app.domain import Source
from app.encoders.manifest import Manifest
from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.artifact import EncoderIdentity, FusionConfig, save_artifact
from app.fusion.calibration import Calibration, TrainingRegion
from app.fusion.tokens import VITALS_WIDTH
from app.knowledge.base import KnowledgeBase
from app.settings import Settings
from tests.checkpoints import write_llama, write_omni

GROUPS = ("text", "image", "audio", "video", "mixed")


@dataclass(frozen=True)
class Pair:
    """Folders as the settings name them."""

    omni: Path
    medical: Path
    fusion: Path

    def settings(self, folder: Path, **overrides: Any) -> Settings:
        return Settings(
            _env_file=None,
            **{
                "qwen_model_path": self.omni,
                "mmed_llama_model_path": self.medical,
                "fusion_weights_path": self.fusion,
                "database_url": f"sqlite:///{folder}/rows.db",
                "cache_dir": folder / "cache",
                "versions_dir": folder / "versions",
                "prepared_dir": self.omni.parent / "prepared",
                "cpu_threads": 1,
                **overrides,
            },
        )


def make_pair(folder: Path) -> Pair:
    """Converts both checkpoints: seconds."""
    checkpoints = {"omni": write_omni(folder / "o", layers=3), "medical": write_llama(folder / "m")}
    for name, checkpoint in checkpoints.items():
        request = ConversionRequest(
            checkpoint=checkpoint,
            output=folder / name,
            quantization="none",
            source="tests/checkpoints.py",
            source_revision="0",
            cut_layer=2,
        )
        convert(request, NoProgress())
    made = Pair(folder / "omni", folder / "medical", folder / "fusion")
    save_fusion(made, tuple(knowledge().conditions)[:12])
    return made


@cache
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()


def save_fusion(pair: Pair, conditions: tuple[str, ...]) -> None:
    """Random weights over real condition ids."""
    omni, medical = Manifest.load(pair.omni), Manifest.load(pair.medical)
    findings = tuple(knowledge().findings)[:20]
    wide = omni.decoder.hidden_size
    widths = dict.fromkeys((s.value for s in Source if s.value.startswith("omni/")), wide) | {
        Source.MEDICAL_TEXT.value: medical.decoder.hidden_size,
        Source.FINDINGS.value: 2 * len(findings),
        Source.VITALS.value: VITALS_WIDTH,
    }
    torch.manual_seed(0)
    network = AFNet(AFNetConfig(widths, conditions=len(conditions), width=16, heads=2, layers=1)).eval()
    config = FusionConfig(
        network=network.config.to_dict(),
        conditions=conditions,
        severities=tuple(1 + index % 5 for index in range(len(conditions))),
        finding_ids=findings,
        knowledge_version="k",
        encoders={"omni": EncoderIdentity.of(omni), "medical": EncoderIdentity.of(medical)},
        sequence_layout="independent",
        seed=0,
    )
    calibration = Calibration(
        temperature=dict.fromkeys(GROUPS, 1.0),
        coverage=0.9,
        conformal_mass=dict.fromkeys(GROUPS, 0.6),
        min_probability=dict.fromkeys(GROUPS, 0.0),
        min_probability_unread=0.0,
        triage_cuts=(1.5, 2.5, 3.5, 4.5),
        distance_limits={},
        fitted_on=dict.fromkeys(GROUPS, 10),
    )
    region = TrainingRegion(
        np.zeros(wide, np.float32), np.eye(wide, dtype=np.float32), np.ones(wide, np.float32), np.ones(1, np.float32)
    )
    save_artifact(
        pair.fusion,
        config=config,
        network=network,
        calibration=calibration,
        regions={Source.OMNI_TEXT.value: region},
        report={},
    )
