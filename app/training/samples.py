"""What training and evaluation read: a labelled case, its media still on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.domain import Language, Patient


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled case. `condition_id` or `triage` may be unknown, never both."""

    group: str
    """Which set it belongs to: symptom2disease, ddxplus, ktas, cxr, heart, generated."""
    condition_id: str | None
    text: str | None = None
    image: Path | None = None
    audio: Path | None = None
    patient: Patient = field(default_factory=Patient)
    language: Language = "en"
    triage: int | None = None
    triage_weight: float = 1.0
    """1 for a triage level that an expert gave, less for one derived from the condition's severity."""
