"""What training and evaluation read: a labelled case, its media still on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.domain import Language, Patient

NOT_IN_CATALOGUE = "not_in_catalogue"
"""In place of a condition id: a case known to be none of the catalogue's conditions, or no case at all."""
SOMETHING_MILD, SOMETHING_GRAVE = "something_mild", "something_grave"
"""In place of a condition id: which one is not known, but it is of severity 1 or 2, or of severity 4 or 5."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled case. `condition_id` or `triage` may be unknown, never both."""

    group: str
    """Which set it belongs to: symptom2disease, ddxplus, ktas, cxr, heart, generated, phrasebook, harmless ..."""
    condition_id: str | None
    text: str | None = None
    image: Path | None = None
    audio: Path | None = None
    patient: Patient = field(default_factory=Patient)
    language: Language = "en"
    triage: int | None = None
    triage_weight: float = 1.0
    """1 for a triage level that an expert gave, less for one derived from the condition's severity."""
