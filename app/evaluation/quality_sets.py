"""The written quality sets of tests/quality: YAML that people read, checked while it is loaded.

`read_entries` and the `Entry` it gives are for every set; `load_descriptions` is the set of described cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import yaml

from app.domain import Language, Patient, Sex
from app.training.samples import Sample

DESCRIPTIONS = "descriptions.yaml"
_MAX_AGE = 120


class QualitySetError(ValueError):
    """A set that must not be measured with; one line that names the file, the entry and the reason."""


class Style(StrEnum):
    """Who tells the case."""

    FIRST_PERSON = "first_person"
    CAREGIVER = "caregiver"
    CLINICIAN = "clinician"


@dataclass(frozen=True, slots=True)
class Description:
    """One case told in both languages; `condition_id` is what a careful doctor would put first or second."""

    id: str
    condition_id: str
    style: Style
    ko: str
    en: str
    age: float | None = None
    sex: Sex | None = None

    def text(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a set's file, read field by field. Every method raises QualitySetError."""

    file: str
    id: str
    values: Mapping[str, Any]

    def refusal(self, reason: str) -> QualitySetError:
        return QualitySetError(f"{self.file}: {self.id}: {reason}")

    def allow(self, keys: Iterable[str]) -> None:
        """Refuses a key that nothing would read: a misspelt one."""
        if unknown := sorted(set(self.values) - set(keys)):
            raise self.refusal(f"unknown key {unknown[0]}")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(f"{key}: must be text that is not empty")
        return value.strip()

    def number(self, key: str, low: float, high: float) -> float | None:
        """None where the key is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.refusal(f"{key}: must be a number from {low:g} to {high:g}")
        return float(value)

    def choice(self, key: str, choices: Iterable[str]) -> str:
        value, allowed = self.text(key), list(choices)
        if value not in allowed:
            raise self.refusal(f"{key}: must be one of {', '.join(allowed)}")
        return value


def read_entries(path: Path, under: str | None = None) -> tuple[Entry, ...]:
    """The entries of a file, in order: a list of mappings with ids that differ, at the top or below the key `under`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise QualitySetError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from error
    if under is not None:
        content = content.get(under) if isinstance(content, dict) else None
    if not isinstance(content, list) or not content:
        raise QualitySetError(f"{path.name}: must be a list of entries")
    entries: dict[str, Entry] = {}
    for index, values in enumerate(content, start=1):
        if not isinstance(values, dict) or not isinstance(values.get("id"), str):
            raise QualitySetError(f"{path.name}: entry {index}: must be a mapping with an id")
        entry = Entry(path.name, values["id"], values)
        if entry.id in entries:
            raise entry.refusal("the same id twice")
        entries[entry.id] = entry
    return tuple(entries.values())


def load_descriptions(folder: Path) -> tuple[Description, ...]:
    """The described cases of `folder`, in file order."""
    return tuple(_description(entry) for entry in read_entries(folder / DESCRIPTIONS))


def _description(entry: Entry) -> Description:
    entry.allow(("id", "condition", "style", "ko", "en", "age", "sex"))
    return Description(
        id=entry.id,
        condition_id=entry.text("condition"),
        style=Style(entry.choice("style", Style)),
        ko=entry.text("ko"),
        en=entry.text("en"),
        age=entry.number("age", 0, _MAX_AGE),
        sex=_sex(entry),
    )


def _sex(entry: Entry) -> Sex | None:
    if "sex" not in entry.values:
        return None
    value = entry.choice("sex", get_args(Sex))
    return "female" if value == "female" else "male"


def description_samples(descriptions: Iterable[Description], language: Language) -> list[Sample]:
    """The cases in one language as labelled samples, to be asked of a service."""
    return [
        Sample(
            group=f"descriptions_{language}",
            condition_id=case.condition_id,
            text=case.text(language),
            patient=Patient(age=case.age, sex=case.sex),
            language=language,
        )
        for case in descriptions
    ]
