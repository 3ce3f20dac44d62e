"""Versions that differ a little from the base version: something to put into service where nothing was learnt."""

from __future__ import annotations

from datetime import UTC, datetime

import torch

from app.adaptation import VersionInfo
from app.fusion.artifact import load_artifact, save_artifact
from app.fusion.identity import fusion_version
from app.versions.registry import VersionRegistry

_SHIFT = 0.2
"""Standard deviation of what is added to the condition head's bias: every answer's figures change, few ranks do."""


def publish_variant(registry: VersionRegistry, seed: int) -> str:
    """The base version with another bias per condition, drawn by `seed`."""
    base = registry.base_version
    artifact = load_artifact(registry.folder(base))
    bias = artifact.network.condition_head.bias
    shift = _SHIFT * torch.randn(bias.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        bias.add_(shift)
    with registry.stage() as staged:
        save_artifact(
            staged,
            config=artifact.config,
            network=artifact.network,
            calibration=artifact.calibration,
            regions=artifact.regions,
            report={"variant": seed},
        )
        info = VersionInfo(fusion_version(staged), parent=base, run_id=None, created_at=datetime.now(UTC))
        return registry.publish(staged, info)
