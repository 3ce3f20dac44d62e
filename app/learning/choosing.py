"""Which cases of the base training become the learning sets. Deterministic from a seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest

from app.domain import ClinicalScore, RedFlag
from app.knowledge.base import KnowledgeBase
from app.learning.cases import LearningSet, LearningSets, SafetyFloor, in_gate
from app.training.phrasebook import Phrasebook
from app.training.recipe import TokenSets
from app.training.samples import Sample
from app.training.tokens import LabelledTokens, TokenMaker

_TEXTS = ("symptom2disease", "ddxplus", "generated", "phrasebook", "composed")
_PER_CONDITION = 14
_OTHERS: Mapping[str, int] = {"complaints": 250, "ktas": 300, "cxr": 240, "heart": 150, "video": 60, "foreign": 150}
"""Replay cases of the sets that are not spread over the whole catalogue."""
_DEV_STYLES = 3
"""Texts of each DDXPlus dev patient; a patient belongs to the gate or to the calibration set with all of them."""
_FILMED_FROM: Mapping[str, str] = {"video": "cxr"}
"""A film of a picture belongs where the picture does."""
_URGENT_TRIAGE = 2
_RANK = {"low": 0, "moderate": 1, "high": 2, "critical": 3}


def choose(sets: TokenSets, emergencies: LearningSet, seed: int) -> LearningSets:
    """Replay from the train sets, balanced over conditions; calibration and gate by halving the dev sets."""
    calibration, gate = _halves(sets.dev)
    return LearningSets(LearningSet(tuple(_replay(sets.train, seed))), calibration, gate, emergencies)


def emergencies(book: Phrasebook, knowledge: KnowledgeBase, maker: TokenMaker) -> LearningSet:
    """Held-out texts that need help at once (urgent complaints, triage 1 or 2), with their red-flag floors."""
    samples = [sample for sample in book.complaint_samples(held_out=True) if sample.group == "urgent"]
    samples += [sample for sample in book.held_out() if (sample.triage or 5) <= _URGENT_TRIAGE]
    cases = maker.make(samples, "emergencies")
    return LearningSet(tuple(cases), tuple(_floor(sample, knowledge) for sample in samples))


def _replay(train: Mapping[str, Sequence[LabelledTokens]], seed: int) -> list[LabelledTokens]:
    rng = random.Random(seed)  # noqa: S311 - a sample
    by_condition: dict[int, dict[str, list[LabelledTokens]]] = defaultdict(lambda: defaultdict(list))
    for name in _TEXTS:
        for case in train.get(name, ()):
            by_condition[case.condition][name].append(case)
    chosen: list[LabelledTokens] = []
    for condition in sorted(by_condition):
        pools = [rng.sample(pool, len(pool)) for _, pool in sorted(by_condition[condition].items())]
        turns = [case for case in chain.from_iterable(zip_longest(*pools)) if case is not None]  # one of each in turn
        chosen += turns[:_PER_CONDITION]
    for name, count in _OTHERS.items():
        pool = train.get(name, ())
        chosen += rng.sample(list(pool), min(count, len(pool)))
    return chosen


def _halves(dev: Mapping[str, Sequence[LabelledTokens]]) -> tuple[LearningSet, LearningSet]:
    calibration: list[LabelledTokens] = []
    gate: list[LabelledTokens] = []
    for name, pool in sorted(dev.items()):
        rows_of = _FILMED_FROM.get(name, name)
        for number, case in enumerate(pool):
            row = number // _DEV_STYLES if name == "ddxplus" else number
            if name == "ddxplus" and number % _DEV_STYLES == 0:
                continue  # the full texts are told apart without a miss: they would judge nothing
            (gate if in_gate(rows_of, str(row)) else calibration).append(case)
    return LearningSet(tuple(calibration)), LearningSet(tuple(gate))


def _floor(sample: Sample, knowledge: KnowledgeBase) -> SafetyFloor | None:
    text = sample.text or ""
    findings, patient = knowledge.extract_findings(text), knowledge.extract_patient(text)
    limits: list[RedFlag | ClinicalScore] = [
        *knowledge.red_flags(findings, patient),
        *knowledge.scores(findings, patient),
    ]
    if not limits:
        return None
    return SafetyFloor(max((one.floor for one in limits), key=_RANK.__getitem__), min(one.triage for one in limits))
