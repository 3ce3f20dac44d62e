"""Cases to give verdicts on without any public data set, and learning sets that make a run a matter of seconds."""

from __future__ import annotations

import random
from pathlib import Path

from app.fusion.artifact import load_artifact
from app.learning.cases import LearningSet, LearningSets, load_learning_sets, save_learning_sets
from app.settings import Settings
from app.training.phrasebook import LANGUAGES, Phrasebook, sample
from app.training.samples import Sample


def phrasebook_cases(seed: int = 0) -> list[Sample]:
    """The written texts of every condition, in both languages, shuffled."""
    book = Phrasebook.load()
    cases = [
        sample(written, condition, language)
        for condition in book.entries
        for language in LANGUAGES
        for written in book.training_cases(condition, language)
    ]
    random.Random(seed).shuffle(cases)  # noqa: S311 - an order
    return cases


def reduced_learning_sets(settings: Settings, folder: Path, cases: int) -> None:
    """At most `cases` of each of the learning sets, in `folder`. For tests: a gate of so few judges nothing."""
    config = load_artifact(settings.fusion_weights_path).config
    sets = load_learning_sets(settings.learning_data_path, config)
    reduced = LearningSets(
        replay=_first(sets.replay, cases),
        calibration=_first(sets.calibration, cases),
        gate=_first(sets.gate, cases),
        emergencies=_first(sets.emergencies, cases),
    )
    save_learning_sets(folder, reduced, config)


def _first(one: LearningSet, cases: int) -> LearningSet:
    """Spread over the set, which is ordered by group."""
    step = max(1, len(one.cases) // cases)
    return LearningSet(one.cases[::step][:cases], one.floors[::step][:cases])
