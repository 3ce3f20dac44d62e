"""The fusion folder: what one trained AFNet is made of, and how it is written and checked.

config.json          network shape, condition labels with severities, finding order, encoders trained with
weights.safetensors  AFNet's parameters and buffers
regions.safetensors  per source: mean, components, scale (`TrainingRegion`)
calibration.json     `Calibration`
report.json          figures on the dev sets at the time of training (for people)
manifest.json        SHA-256 of the files above; written last
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file

from app.encoders.manifest import Manifest
from app.errors import ArtifactError
from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.calibration import Calibration, TrainingRegion
from app.fusion.identity import MANIFEST_NAME, FusionManifest, verified_manifest

_REGION_PARTS = ("mean", "components", "scale", "residual")


class EncoderIdentity(BaseModel):
    """What must match for embeddings to mean the same: checked against the encoder's manifest at start."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    architecture: str
    source: str
    source_revision: str
    hidden_size: int
    cut_layer: int
    prompt_prefix: str

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(
            architecture=manifest.architecture,
            source=manifest.source,
            source_revision=manifest.source_revision,
            hidden_size=manifest.decoder.hidden_size,
            cut_layer=manifest.decoder.cut_layer,
            prompt_prefix=manifest.prompt_prefix,
        )


class FusionConfig(BaseModel):
    """config.json of a fusion folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    network: dict[str, Any]
    conditions: tuple[str, ...]
    severities: tuple[int, ...]
    finding_ids: tuple[str, ...]
    knowledge_version: str
    encoders: dict[str, EncoderIdentity]
    """'omni' and 'medical'."""
    sequence_layout: str
    seed: int


@dataclass(frozen=True, slots=True)
class FusionArtifact:
    """A loaded fusion folder. `version` is a short hash of everything in it."""

    config: FusionConfig
    network: AFNet
    calibration: Calibration
    regions: dict[str, TrainingRegion]
    version: str


def save_artifact(
    folder: Path,
    *,
    config: FusionConfig,
    network: AFNet,
    calibration: Calibration,
    regions: dict[str, TrainingRegion],
    report: dict[str, Any],
) -> None:
    """Write a fusion folder; its manifest last, so that an interrupted write does not load."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    (folder / "config.json").write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "calibration.json").write_text(calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
    )
    arrays = {}
    for source, region in regions.items():
        for part in _REGION_PARTS:
            arrays[f"{source}|{part}"] = np.ascontiguousarray(getattr(region, part))
    save_numpy(arrays, folder / "regions.safetensors")
    for name in ("weights.safetensors", "regions.safetensors"):
        (folder / name).chmod(0o644)  # the library makes them private; a service runs as another user
    manifest = FusionManifest.of(folder)
    partial = folder / f"{MANIFEST_NAME}.partial"
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(manifest.model_dump_json(indent=1) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    partial.rename(folder / MANIFEST_NAME)


def load_artifact(folder: Path) -> FusionArtifact:
    """Read and verify a fusion folder. ArtifactError where a file is missing, damaged or does not fit the others."""
    manifest = verified_manifest(folder)
    try:
        config = FusionConfig.model_validate_json((folder / "config.json").read_bytes())
        calibration = Calibration.model_validate_json((folder / "calibration.json").read_bytes())
        network = AFNet(AFNetConfig.from_dict(config.network))
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        regions = _load_regions(folder / "regions.safetensors")
    except (ValidationError, SafetensorError, RuntimeError, TypeError, KeyError) as error:
        raise ArtifactError("fusion_invalid", folder=str(folder), reason=type(error).__name__) from error
    if not len(config.conditions) == len(config.severities) == network.config.conditions:
        raise ArtifactError("fusion_invalid", folder=str(folder), reason="label list and network differ")
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise ArtifactError("fusion_invalid", folder=str(folder), reason="weights are not finite")
    return FusionArtifact(config, network.eval(), calibration, regions, manifest.version)


def _load_regions(path: Path) -> dict[str, TrainingRegion]:
    arrays = load_numpy(path)
    sources = {name.split("|")[0] for name in arrays}
    return {
        source: TrainingRegion(*(arrays[f"{source}|{part}"] for part in _REGION_PARTS)) for source in sorted(sources)
    }
