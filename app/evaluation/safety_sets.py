"""The hand-written safety sets of tests/quality: emergencies, harmless complaints, what must not matter, no cases.

Each loader reads one YAML file and raises SafetySetError for anything but exactly the fields it documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import yaml

from app.domain import Language, Patient, Sex

Voice = Literal["patient", "caregiver", "clinician"]
T = TypeVar("T", bound="Identified")

LANGUAGES: tuple[Language, ...] = get_args(Language)
VOICES: tuple[Voice, ...] = get_args(Voice)
SEXES: tuple[Sex, ...] = get_args(Sex)
AGES = (30.0, 70.0)


class SafetySetError(ValueError):
    """A file of a safety set is not what its loader documents."""


@dataclass(frozen=True, slots=True)
class Identified:
    """`case_id` is unique in its list."""

    case_id: str


@dataclass(frozen=True, slots=True)
class BilingualCase(Identified):
    """One complaint told in both languages; `what` names what it is."""

    what: str
    ko: str
    en: str

    def text(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en


@dataclass(frozen=True, slots=True)
class VoicedCase(BilingualCase):
    voice: Voice


@dataclass(frozen=True, slots=True)
class SynonymSwap(Identified):
    """Two texts that differ in a word or two and mean the same."""

    language: Language
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class NonMedicalText(Identified):
    """No description of a case; `kind` says what it is instead."""

    kind: str
    language: Language
    text: str


@dataclass(frozen=True, slots=True)
class InvarianceSet:
    patients: tuple[BilingualCase, ...]
    """The first condition must be the same for each of `demographic_patients()`."""
    synonyms: tuple[SynonymSwap, ...]


def demographic_patients() -> tuple[Patient, ...]:
    """Nobody in particular first, then both sexes at both ages."""
    return (Patient(), *(Patient(age=age, sex=sex) for sex in SEXES for age in AGES))


def load_voiced_cases(path: Path) -> tuple[VoicedCase, ...]:
    """emergencies.yaml or harmless.yaml."""
    return _entries(path, _document(path, {"cases"})["cases"], _voiced_case)


def load_invariance(path: Path) -> InvarianceSet:
    document = _document(path, {"patients", "synonyms"})
    return InvarianceSet(
        patients=_entries(path, document["patients"], _bilingual_case),
        synonyms=_entries(path, document["synonyms"], _synonym_swap),
    )


def load_non_medical_texts(path: Path) -> tuple[NonMedicalText, ...]:
    return _entries(path, _document(path, {"texts"})["texts"], _non_medical_text)


# --------------------------------------------------------------------------- one entry
def _bilingual_case(row: Mapping[str, str]) -> BilingualCase:
    _need_fields(row, {"id", "what", "ko", "en"})
    return BilingualCase(case_id=row["id"], what=row["what"], ko=row["ko"], en=row["en"])


def _voiced_case(row: Mapping[str, str]) -> VoicedCase:
    _need_fields(row, {"id", "what", "voice", "ko", "en"})
    voice = cast(Voice, _one_of(row["voice"], VOICES))
    return VoicedCase(case_id=row["id"], what=row["what"], ko=row["ko"], en=row["en"], voice=voice)


def _synonym_swap(row: Mapping[str, str]) -> SynonymSwap:
    _need_fields(row, {"id", "language", "first", "second"})
    language = cast(Language, _one_of(row["language"], LANGUAGES))
    if row["first"] == row["second"]:
        raise SafetySetError("both texts are the same")
    return SynonymSwap(case_id=row["id"], language=language, first=row["first"], second=row["second"])


def _non_medical_text(row: Mapping[str, str]) -> NonMedicalText:
    _need_fields(row, {"id", "kind", "language", "text"})
    language = cast(Language, _one_of(row["language"], LANGUAGES))
    return NonMedicalText(case_id=row["id"], kind=row["kind"], language=language, text=row["text"])


# --------------------------------------------------------------------------- checks
def _document(path: Path, keys: set[str]) -> Mapping[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or set(document) != keys:
        raise SafetySetError(f"{path.name}: expected the lists {sorted(keys)} and nothing else")
    return document


def _entries(path: Path, rows: Any, build: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    if not isinstance(rows, list) or not rows:
        raise SafetySetError(f"{path.name}: expected a list that is not empty")
    entries = tuple(_entry(path, number, row, build) for number, row in enumerate(rows, start=1))
    uses = Counter(entry.case_id for entry in entries)
    if repeated := [case_id for case_id, times in uses.items() if times > 1]:
        raise SafetySetError(f"{path.name}: id used twice: {', '.join(repeated)}")
    return entries


def _entry(path: Path, number: int, row: Any, build: Callable[[Mapping[str, str]], T]) -> T:
    try:
        if not isinstance(row, dict):
            raise SafetySetError("not a mapping")
        return build(row)
    except SafetySetError as error:
        raise SafetySetError(f"{path.name}, entry {number}: {error}") from None


def _need_fields(row: Mapping[str, Any], fields: set[str]) -> None:
    if set(row) != fields:
        raise SafetySetError(f"expected the fields {sorted(fields)}, found {sorted(map(str, row))}")
    for name, value in row.items():
        if not isinstance(value, str) or not value.strip() or value != value.strip():
            raise SafetySetError(f"{name} must be text, not empty, without blanks around it")


def _one_of(value: str, allowed: Iterable[str]) -> str:
    if value not in allowed:
        raise SafetySetError(f"{value!r} is none of {', '.join(allowed)}")
    return value
