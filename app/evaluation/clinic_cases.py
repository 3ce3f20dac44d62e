"""Cases of a simulated clinic in which three conditions have got a new local meaning.

They are dev cases that the gate set does not hold: one half is seen by the clinicians, the other measures. Which half a
case belongs to goes by patient. The texts of tests/quality measure as well: nothing was ever trained or chosen on them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.evaluation.quality_sets import description_samples, load_descriptions
from app.learning.cases import in_gate
from app.training.datasets import DataFolder
from app.training.ddxplus import Style
from app.training.phrasebook import LANGUAGES, Phrasebook
from app.training.samples import Sample

DRIFT: Mapping[str, str] = {
    "viral_pharyngitis": "tonsillitis",
    "acute_laryngitis": "upper_respiratory_infection",
    "influenza": "covid19",
}
"""What the catalogue calls it -> what this clinic calls it."""
STYLES: tuple[Style, ...] = ("full", "brief", "questions", "notes")
"""How a DDXPlus patient is told; a first complaint alone does not tell the condition."""


@dataclass(frozen=True, slots=True)
class ClinicCase:
    """A case and what this clinic calls it; `is_drifted`: the catalogue calls it something else."""

    sample: Sample
    truth: str
    is_drifted: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """A case that a clinician sees. `wrong_correction`: what they mistakenly say it is, whatever the answer is."""

    case: ClinicCase
    wrong_correction: str | None = None

    @property
    def said(self) -> str:
        """What the clinician says it is."""
        return self.wrong_correction or self.case.truth


@dataclass(frozen=True, slots=True)
class ClinicPlan:
    """`measured`: by the name of their set."""

    visits: tuple[Visit, ...]
    measured: Mapping[str, tuple[ClinicCase, ...]]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """`visits`: how many analyses; `wrong_share` of them get a wrong correction."""

    visits: int = 400
    wrong_share: float = 0.1
    drift: Mapping[str, str] = field(default_factory=lambda: dict(DRIFT))
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A dev case, and the patient or row that it comes from."""

    key: int
    sample: Sample


def plan(data: DataFolder, book: Phrasebook, written: Path, options: PlanOptions) -> ClinicPlan:
    """All drifted cases of the clinic's half and a sample of the others. ValueError where there are too few.

    `written`: folder of the written measuring sets.
    """
    seen: list[Sample] = []
    measured: dict[str, list[Sample]] = {}
    for name, pool in _dev_sets(data, book).items():
        for_clinic, for_measuring = _halves(name, pool)
        seen += for_clinic
        measured[name] = for_measuring
    descriptions = load_descriptions(written)
    for language in LANGUAGES:
        measured[f"written_{language}"] = description_samples(descriptions, language)
    return ClinicPlan(
        tuple(_visits([_case(sample, options.drift) for sample in seen], options)),
        {name: tuple(_case(sample, options.drift) for sample in samples) for name, samples in measured.items()},
    )


def _dev_sets(data: DataFolder, book: Phrasebook) -> dict[str, list[_Keyed]]:
    """By the names that the gate set knows them by, with the same keys."""
    told = data.ddxplus("dev", STYLES, with_patient=False)
    sets = {
        "symptom2disease": _numbered(data.symptom2disease("dev")),
        "ddxplus": [_Keyed(number // len(STYLES), sample) for number, sample in enumerate(told)],
        "phrasebook": _numbered(book.held_out()),
        "cxr": _numbered(data.chest_xrays("dev")),
        "heart": _numbered(data.heart_sounds("dev")),
    }
    return {
        name: [item for item in pool if item.sample.condition_id and not in_gate(name, str(item.key))]
        for name, pool in sets.items()
    }


def _numbered(samples: Iterable[Sample]) -> list[_Keyed]:
    return [_Keyed(number, sample) for number, sample in enumerate(samples)]


def _halves(name: str, pool: Sequence[_Keyed]) -> tuple[list[Sample], list[Sample]]:
    """Patients take turns, those of one condition one after the other, so that each side has some of each condition."""
    by_patient: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for item in pool:
        by_patient[str(item.sample.condition_id), item.key].append(item.sample)
    if len(by_patient) < 2:
        raise ValueError(f"{name} has too few cases that the gate set does not hold")
    halves: tuple[list[Sample], list[Sample]] = ([], [])
    for number, (_, samples) in enumerate(sorted(by_patient.items())):
        halves[number % 2].extend(samples)
    return halves


def _case(sample: Sample, drift: Mapping[str, str]) -> ClinicCase:
    condition = str(sample.condition_id)
    return ClinicCase(sample, drift.get(condition, condition), condition in drift)


def _visits(cases: Sequence[ClinicCase], options: PlanOptions) -> list[Visit]:
    rng = random.Random(options.seed)  # noqa: S311 - a simulation
    drifted = [case for case in cases if case.is_drifted]
    others = [case for case in cases if not case.is_drifted]
    if not len(drifted) <= options.visits <= len(cases):
        raise ValueError(f"a clinic of these data sees {len(drifted)} to {len(cases)} cases, not {options.visits}")
    chosen = drifted + rng.sample(others, options.visits - len(drifted))
    rng.shuffle(chosen)
    mistaken = set(rng.sample(range(len(chosen)), round(options.wrong_share * len(chosen))))
    known = sorted({case.truth for case in chosen})
    return [
        Visit(case, rng.choice([name for name in known if name != case.truth]) if number in mistaken else None)
        for number, case in enumerate(chosen)
    ]
