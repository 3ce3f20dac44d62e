"""The phrasebook: case texts and sentences written by hand for training, by condition, in both languages.

    data/phrasebook/conditions/*.yaml   whole texts, and sentences any few of which make a case
    data/phrasebook/*.yaml              urgent, middling and harmless complaints; what is outside of the catalogue

Every whole text carries the triage level (1 most urgent to 5) that its writer would give it. Nothing here is taken from
a data set, nor from the texts that measure (a test compares them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.domain import Language
from app.errors import ArtifactError
from app.training.samples import NOT_IN_CATALOGUE, SOMETHING_GRAVE, SOMETHING_MILD, Sample

FOLDER = Path(__file__).parent / "data" / "phrasebook"
_UNNAMED: Mapping[str, str | None] = {
    "urgent": SOMETHING_GRAVE,
    "middling": None,
    "harmless": SOMETHING_MILD,
    "outside": NOT_IN_CATALOGUE,
}
COMPLAINTS = tuple(_UNNAMED)
NOT_MEDICAL = "not_medical"
WRITTEN_TRIAGE_WEIGHT = 0.5
"""What a writer's triage level counts beside an expert's who saw the patient."""
_HELD_OUT_EVERY = 8

LANGUAGES: tuple[Language, ...] = ("ko", "en")

Voice = Literal["patient", "caregiver", "clinician"]
Phrase = Annotated[str, Field(min_length=2)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class WrittenText(_Model):
    """A whole case as somebody tells it."""

    text: Phrase
    triage: int = Field(ge=1, le=5)
    voice: Voice
    condition: str | None = None
    """Complaints only: the catalogue's condition, where it plainly is one."""


class Sentences(_Model):
    """Any two to five of one voice, in any order, make a case."""

    patient: Annotated[tuple[Phrase, ...], Field(min_length=8, strict=False)]
    clinician: Annotated[tuple[Phrase, ...], Field(min_length=4, strict=False)]


class Phrases(_Model):
    """One condition in one language."""

    cases: Annotated[tuple[WrittenText, ...], Field(min_length=6, strict=False)]
    sentences: Sentences


class PhraseEntry(_Model):
    """One condition."""

    condition: str
    ko: Phrases
    en: Phrases

    def phrases(self, language: Language) -> Phrases:
        return self.ko if language == "ko" else self.en


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """`entries` by condition; `complaints` by file and language; `not_medical` by language."""

    entries: Mapping[str, PhraseEntry]
    complaints: Mapping[str, Mapping[Language, Sequence[WrittenText]]]
    not_medical: Mapping[Language, Sequence[str]]

    @classmethod
    def load(cls, folder: Path = FOLDER, conditions: Iterable[str] | None = None) -> Phrasebook:
        """ArtifactError("phrasebook_invalid") for a file that is not as described, a condition twice or, where
        `conditions` are given, unknown."""
        known = None if conditions is None else set(conditions)
        entries: dict[str, PhraseEntry] = {}
        for path in sorted((folder / "conditions").glob("*.yaml")):
            for entry in _read(path, TypeAdapter(list[PhraseEntry])):
                if entry.condition in entries or (known is not None and entry.condition not in known):
                    raise ArtifactError("phrasebook_invalid", file=path.name, reason=entry.condition)
                entries[entry.condition] = entry
        texts = TypeAdapter(dict[Language, list[WrittenText]])
        complaints = {name: _read(folder / f"{name}.yaml", texts) for name in COMPLAINTS}
        for name, by_language in complaints.items():
            named = {item.condition for items in by_language.values() for item in items if item.condition}
            if known is not None and not named <= known:
                raise ArtifactError("phrasebook_invalid", file=f"{name}.yaml", reason=", ".join(sorted(named - known)))
        not_medical = _read(folder / f"{NOT_MEDICAL}.yaml", TypeAdapter(dict[Language, list[str]]))
        return cls(entries, complaints, not_medical)

    def held_out(self) -> list[Sample]:
        """One whole text of each condition and language, kept from training to calibrate on."""
        return [
            sample(phrases.cases[_held_out_number(phrases, number)], entry.condition, language)
            for number, entry in enumerate(self.entries.values())
            for language in LANGUAGES
            for phrases in (entry.phrases(language),)
        ]

    def training_cases(self, condition: str, language: Language) -> list[WrittenText]:
        """The condition's whole texts but the one held out."""
        phrases = self.entries[condition].phrases(language)
        held = _held_out_number(phrases, list(self.entries).index(condition))
        return [case for number, case in enumerate(phrases.cases) if number != held]

    def complaint_samples(self, *, held_out: bool) -> list[Sample]:
        """Complaints, and texts that are no case. What is outside the catalogue is labelled so; of an urgent or a
        harmless complaint without a condition the severity is known.

        Every eighth is held out, the same ones in every run.
        """
        result = [
            replace(sample(text, text.condition or _UNNAMED[name], language), group=name)
            for name, by_language in self.complaints.items()
            for language, texts in by_language.items()
            for number, text in enumerate(texts)
            if (number % _HELD_OUT_EVERY == 0) == held_out
        ]
        result += [
            Sample(NOT_MEDICAL, NOT_IN_CATALOGUE, text=text, language=language)
            for language, plain in self.not_medical.items()
            for number, text in enumerate(plain)
            if (number % _HELD_OUT_EVERY == 0) == held_out
        ]
        return result


def sample(written: WrittenText, condition: str | None, language: Language) -> Sample:
    return Sample(
        group="phrasebook",
        condition_id=condition,
        text=written.text,
        language=language,
        triage=written.triage,
        triage_weight=WRITTEN_TRIAGE_WEIGHT,
    )


def _held_out_number(phrases: Phrases, position: int) -> int:
    """A different kind of text from condition to condition: the lists are ordered by kind."""
    return position % len(phrases.cases)


def _read(path: Path, adapter: TypeAdapter[Any]) -> Any:
    try:
        return adapter.validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ArtifactError("phrasebook_invalid", file=path.name, reason=type(error).__name__) from error
