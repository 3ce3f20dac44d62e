"""The whole base training of AFNet: which sets, in which shares, fitted, calibrated, reported, saved."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from app.domain import Case, Image, Patient, Source, Waveform
from app.encoders.manifest import Manifest
from app.evaluation.metrics import triage_figures
from app.fusion.afnet import AFNet, AFNetConfig, triage_probabilities
from app.fusion.artifact import EncoderIdentity, FusionConfig, save_artifact
from app.fusion.calibration import Calibration, TrainingRegion
from app.fusion.risk import triage_level
from app.fusion.tokens import VITALS_WIDTH, EvidenceCodec
from app.knowledge.base import KnowledgeBase
from app.training.calibrating import figures, fit_calibration, fit_regions
from app.training.composition import PhraseComposer
from app.training.condition_readout import install_condition_readout
from app.training.datasets import DataFolder
from app.training.fitting import Composer, FitOptions, fit, score, source_statistics
from app.training.foreign_pictures import foreign_pictures
from app.training.foreign_sounds import foreign_sounds
from app.training.generation import NO_FINDING, CaseGenerator
from app.training.phrasebook import Phrasebook
from app.training.samples import NOT_IN_CATALOGUE, Sample
from app.training.tokens import Encoding, LabelledTokens, TokenMaker, load_case, still_video
from app.training.triage_readout import install_triage_readout

GROUP_WEIGHTS: Mapping[str, float] = {
    "symptom2disease": 0.09,
    "ddxplus": 0.13,
    "generated": 0.1,
    "phrasebook": 0.18,
    "composed": 0.17,
    "complaints": 0.09,
    "ktas": 0.07,
    "cxr": 0.05,
    "heart": 0.06,
    "video": 0.03,
    "foreign": 0.03,
}
"""Share of each set among the training cases."""

INPUT_DROPOUT: dict[str, float] = {Source.VITALS.value: 0.05, Source.OMNI_IMAGE.value: 0.7}
"""Where it is not `Recipe.dropout`: few numbers are not to be lost, and 731 X-rays not to be learned by heart."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes of the training set and the fit; the defaults make the committed weights."""

    generated_per_condition: int = 10
    composed_per_condition: int = 24
    media_variants: int = 2
    xray_variants: int = 5
    videos: int = 150
    foreign_media: int = 600
    """Pictures that are no X-ray, and as many sounds that are no heart sound."""
    width: int = 256
    layers: int = 2
    heads: int = 4
    dropout: float = 0.25
    fit: FitOptions = field(default_factory=FitOptions)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TokenSets:
    """Labelled tokens by group."""

    train: dict[str, list[LabelledTokens]]
    dev: dict[str, list[LabelledTokens]]


@dataclass(frozen=True, slots=True)
class TrainedFusion:
    """What a fusion folder is written from."""

    config: FusionConfig
    network: AFNet
    calibration: Calibration
    regions: dict[str, TrainingRegion]
    report: dict[str, Any]


def make_token_sets(recipe: Recipe, data: DataFolder, knowledge: KnowledgeBase, maker: TokenMaker) -> TokenSets:
    """Encode everything. Dev sets are never augmented; generated dev cases come from another seed."""
    rng = random.Random(recipe.seed)  # noqa: S311 - augmentation
    generator = CaseGenerator(knowledge.conditions, knowledge.findings)
    generated = list(generator.generate(recipe.generated_per_condition, recipe.seed))
    book = Phrasebook.load(conditions=knowledge.conditions)
    composer = PhraseComposer(book, knowledge.conditions, knowledge.findings)
    composed = list(composer.composed(recipe.composed_per_condition, recipe.seed))
    train = {
        "symptom2disease": maker.make(data.symptom2disease("train"), "symptom2disease"),
        "ddxplus": maker.make(
            _without_half_the_patients(data.ddxplus("train", ("full", "brief", "notes", "complaint")), rng), "ddxplus"
        ),
        "generated": maker.make(generated, "generated"),
        "phrasebook": maker.make(list(composer.whole(recipe.seed)), "phrasebook"),
        "composed": maker.make(composed, "composed"),
        "complaints": maker.make(book.complaint_samples(held_out=False), "complaints"),
        "ktas": maker.make([s for s in data.ktas("train", knowledge.match_condition) if s.text], "ktas"),
        "cxr": _media(maker, data.chest_xrays("train"), recipe.xray_variants, rng, "cxr"),
        "heart": _media(maker, data.heart_sounds("train"), recipe.media_variants, rng, "heart"),
        "video": _videos(maker, rng.sample(data.chest_xrays("train"), recipe.videos), rng),
        "foreign": _foreign(maker, recipe.foreign_media, recipe.seed, held_out=False),
    }
    dev = {
        "symptom2disease": maker.make(data.symptom2disease("dev"), "symptom2disease dev"),
        "ddxplus": maker.make(data.ddxplus("dev", ("full", "brief", "complaint"), with_patient=False), "ddxplus dev"),
        "generated": maker.make(list(generator.generate(2, recipe.seed + 1)), "generated dev"),
        "phrasebook": maker.make(book.held_out(), "phrasebook dev"),
        "complaints": maker.make(book.complaint_samples(held_out=True), "complaints dev"),
        "ktas": maker.make([s for s in data.ktas("dev", knowledge.match_condition) if s.text], "ktas dev"),
        "cxr": maker.make(data.chest_xrays("dev"), "cxr dev"),
        "heart": maker.make(data.heart_sounds("dev"), "heart dev"),
        "video": _videos(maker, data.chest_xrays("dev"), rng),
        "foreign": _foreign(maker, recipe.foreign_media // 4, recipe.seed + 1, held_out=True),
    }
    return TokenSets(train, dev)


def train(
    recipe: Recipe, sets: TokenSets, knowledge: KnowledgeBase, codec: EvidenceCodec, manifests: Mapping[str, Manifest]
) -> TrainedFusion:
    """Fit on the train sets, calibrate and report on the dev sets."""
    conditions = tuple(knowledge.conditions)
    everything = [case for pool in sets.train.values() for case in pool]
    statistics = source_statistics(everything)
    widths = {source: len(mean) for source, (mean, _) in sorted(statistics.items())}
    widths |= {Source.FINDINGS.value: codec.findings_width, Source.VITALS.value: VITALS_WIDTH}
    network_config = AFNetConfig(
        widths,
        len(conditions),
        recipe.width,
        recipe.heads,
        recipe.layers,
        recipe.dropout,
        INPUT_DROPOUT,
        (Source.OMNI_IMAGE.value,),
    )
    normal = conditions.index(NO_FINDING)
    composer = Composer(sets.train, GROUP_WEIGHTS, normal, recipe.fit.pair_share)
    severities = tuple(condition.severity for condition in knowledge.conditions.values())
    network = fit(composer, network_config, statistics, recipe.fit, severities)
    install_triage_readout(network, sets.train, sets.dev)
    unchanged = sets.train["cxr"][: len(sets.train["cxr"]) // (1 + recipe.xray_variants)]
    install_condition_readout(network, Source.OMNI_IMAGE.value, unchanged, sets.dev["cxr"])
    regions = fit_regions(everything)
    dev = [case for pool in sets.dev.values() for case in pool]
    dev += paired_dev(sets.dev, normal, recipe.seed)
    logits, triage = score(network, dev)
    calibration = fit_calibration(dev, logits, triage, regions)
    report: dict[str, Any] = {"dev": figures(dev, logits, calibration), "train_cases": _counts(sets.train)}
    visits = [n for n, case in enumerate(dev) if case.group == "ktas"]
    probabilities = triage_probabilities(torch.from_numpy(triage[visits])).numpy()
    levels = [triage_level(row, calibration.triage_cuts) for row in probabilities]
    report["triage"] = triage_figures([dev[n].triage for n in visits], levels)
    config = FusionConfig(
        network=network_config.to_dict(),
        conditions=conditions,
        severities=severities,
        finding_ids=codec.finding_ids,
        knowledge_version=knowledge.version,
        encoders={name: EncoderIdentity.of(manifest) for name, manifest in manifests.items()},
        sequence_layout="independent",
        seed=recipe.seed,
    )
    return TrainedFusion(config, network, calibration, regions, report)


def paired_dev(dev: Mapping[str, Sequence[LabelledTokens]], normal: int, seed: int) -> list[LabelledTokens]:
    """Dev pictures and sounds, each with a dev text of the same condition (synthetic pairs; said so in the report)."""
    rng = random.Random(seed)  # noqa: S311 - pairing
    texts = [case for name in ("symptom2disease", "ddxplus", "generated") for case in dev[name]]
    pairs = []
    for media in (*dev["cxr"], *dev["heart"]):
        fitting = [case for case in texts if case.condition == media.condition]
        if media.condition != normal and fitting:
            text = rng.choice(fitting)
            pairs.append(LabelledTokens(f"{media.group}+text", media.tokens + text.tokens, media.condition, 0, 0.0))
    return pairs


def save(folder: Path, trained: TrainedFusion) -> None:
    save_artifact(
        folder,
        config=trained.config,
        network=trained.network,
        calibration=trained.calibration,
        regions=trained.regions,
        report=trained.report,
    )


def token_maker(knowledge: KnowledgeBase, encoders: Sequence[Encoding]) -> TokenMaker:
    return TokenMaker(
        encoders=encoders,
        extract_findings=knowledge.extract_findings,
        extract_patient=knowledge.extract_patient,
        codec=EvidenceCodec(tuple(knowledge.findings)),
        condition_index={name: number for number, name in enumerate(knowledge.conditions)},
    )


def _media(
    maker: TokenMaker, samples: list[Sample], variants: int, rng: random.Random, name: str
) -> list[LabelledTokens]:
    result = maker.make(samples, name)
    for number in range(variants):
        result += maker.make(samples, f"{name} variant {number + 1}", rng)
    return result


def _videos(maker: TokenMaker, samples: Sequence[Sample], rng: random.Random) -> list[LabelledTokens]:
    result = []
    for sample in samples:
        still = load_case(sample).images[0]
        case = Case(language="en", video=still_video(still, rng))
        labelled = maker.label(sample, case)
        result.append(LabelledTokens("video", labelled.tokens, labelled.condition, 0, 0.0))
    return result


def _foreign(maker: TokenMaker, count: int, seed: int, *, held_out: bool) -> list[LabelledTokens]:
    """Pictures and sounds that are no evidence of anything."""
    sample = Sample("foreign", NOT_IN_CATALOGUE)
    pictures = [
        Case(language="en", images=(Image(pixels),)) for pixels in foreign_pictures(count, seed, held_out=held_out)
    ]
    sounds = [Case(language="en", audio=Waveform(samples)) for samples in foreign_sounds(count, seed)]
    return [maker.label(sample, case) for case in (*pictures, *sounds)]


def _without_half_the_patients(samples: list[Sample], rng: random.Random) -> list[Sample]:
    """Half of the texts come without the age and sex fields, as users send them."""
    return [replace(sample, patient=Patient()) if rng.random() < 0.5 else sample for sample in samples]


def _counts(pools: Mapping[str, Sequence[LabelledTokens]]) -> dict[str, int]:
    return {name: len(pool) for name, pool in pools.items()}
