"""A random fusion folder for two converted encoders, written the way training writes one. Its answers mean nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from app.domain import Source
from app.encoders.manifest import Manifest
from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.artifact import EncoderIdentity, FusionConfig, save_artifact
from app.fusion.tokens import VITALS_WIDTH, EvidenceCodec, EvidenceToken
from app.knowledge.base import KnowledgeBase
from app.training.calibrating import fit_calibration, fit_regions
from app.training.fitting import score, source_statistics
from app.training.tokens import LabelledTokens

_CASES = 16
_TEXT = (Source.OMNI_TEXT, Source.MEDICAL_TEXT)
_MODALITIES: Mapping[str, tuple[Source, ...]] = {
    "text": _TEXT,
    "image": (Source.OMNI_IMAGE,),
    "audio": (Source.OMNI_AUDIO,),
    "video": (Source.OMNI_VIDEO,),
    "mixed": (*_TEXT, Source.OMNI_IMAGE),
}


def write_random_fusion(folder: Path, omni: Path, medical: Path, seed: int = 0) -> None:
    """`omni` and `medical` are converted model folders. Statistics, regions and calibration are fitted on noise.

    ArtifactError where one of them is not whole.
    """
    manifests = {"omni": Manifest.load(omni), "medical": Manifest.load(medical)}
    knowledge = KnowledgeBase.load()
    codec = EvidenceCodec(tuple(knowledge.findings))
    widths = {
        source.value: manifests[name].decoder.hidden_size
        for source in Source
        for name in manifests
        if source.value.startswith(f"{name}/")
    }
    cases = list(_noise(widths, len(knowledge.conditions), np.random.default_rng(seed)))
    widths |= {Source.FINDINGS.value: codec.findings_width, Source.VITALS.value: VITALS_WIDTH}
    network = _network(AFNetConfig(widths, len(knowledge.conditions)), cases, seed)
    regions = fit_regions(cases)
    logits, triage = score(network, cases)
    config = FusionConfig(
        network=network.config.to_dict(),
        conditions=tuple(knowledge.conditions),
        severities=tuple(condition.severity for condition in knowledge.conditions.values()),
        finding_ids=codec.finding_ids,
        knowledge_version=knowledge.version,
        encoders={name: EncoderIdentity.of(manifest) for name, manifest in manifests.items()},
        sequence_layout="independent",
        seed=seed,
    )
    save_artifact(
        folder,
        config=config,
        network=network,
        calibration=fit_calibration(cases, logits, triage, regions),
        regions=regions,
        report={"weights": "random, for measuring speed and memory"},
    )


def _network(config: AFNetConfig, cases: list[LabelledTokens], seed: int) -> AFNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AFNet(config).eval()
    for source, (mean, spread) in source_statistics(cases).items():
        network.set_statistics(source, mean, spread)
    return network


def _noise(widths: Mapping[str, int], conditions: int, rng: np.random.Generator) -> Iterator[LabelledTokens]:
    for group, sources in _MODALITIES.items():
        for _ in range(_CASES):
            tokens = tuple(
                EvidenceToken(source.value, rng.standard_normal(widths[source.value], np.float32)) for source in sources
            )
            yield LabelledTokens(group, tokens, int(rng.integers(conditions)), 0, 0.0)
