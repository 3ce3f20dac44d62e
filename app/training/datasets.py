"""The public data sets of the data folder as samples. They are read where they lie and never copied.

The KTAS file's blanks and damaged cells (`??`, `#BOÞ!`) become None; sources and terms are in docs/MODEL_CARD.md.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from app.domain import Consciousness, Patient, Vitals
from app.training.ddxplus import STYLES, DdxVerbaliser, Style, labelled_texts, load_patients
from app.training.samples import Sample

Split = Literal["train", "dev"]
_AVPU: dict[str, Consciousness] = {"1": "alert", "2": "verbal", "3": "pain", "4": "unresponsive"}


class DataFolder:
    """Access to the data folder; `labels.csv` maps every data set's labels to condition ids."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self.seed = seed
        self._labels = _read_labels(root / "labels.csv")

    def condition(self, dataset: str, label: str) -> str:
        return self._labels[dataset, label]

    def symptom2disease(self, split: Split) -> list[Sample]:
        rows = _rows(self.root / "text" / f"symptom2disease_{split}.csv")
        return [
            Sample("symptom2disease", self.condition("symptom2disease", row["label"]), text=row["text"]) for row in rows
        ]

    def ddxplus(self, split: Split, styles: tuple[Style, ...] = STYLES, *, with_patient: bool = True) -> list[Sample]:
        folder = self.root / "ddxplus"
        verbaliser = DdxVerbaliser.from_file(folder / "release_evidences.json")
        patients = load_patients(folder / f"patients_{split}.csv")
        return [
            Sample(
                "ddxplus",
                self.condition("ddxplus", patient.condition),
                text=text,
                patient=DdxVerbaliser.patient(patient) if with_patient else Patient(),
            )
            for patient, text in labelled_texts(patients, verbaliser, styles, self.seed)
        ]

    def ktas(self, split: Split, match: Callable[[str], str | None]) -> list[Sample]:
        """Emergency visits; `match` finds a condition id in the ED diagnosis, where it names one exactly."""
        rows = _rows(self.root / "triage" / f"ktas_{split}.csv")
        return [
            Sample(
                "ktas",
                match(row["Diagnosis in ED"]),
                text=row["Chief_complain"].strip() or None,
                patient=ktas_patient(row),
                triage=int(row["KTAS_expert"]),
            )
            for row in rows
        ]

    def chest_xrays(self, split: Split) -> list[Sample]:
        folder = self.root / "cxr"
        return [
            Sample("cxr", self.condition("cxr", row["label"]), image=folder / split / row["file"])
            for row in _rows(folder / f"{split}.csv")
        ]

    def heart_sounds(self, split: Split) -> list[Sample]:
        folder = self.root / "heart"
        return [
            Sample("heart", self.condition("heart", row["label"]), audio=folder / split / row["file"])
            for row in _rows(folder / f"{split}.csv")
        ]


def ktas_patient(row: dict[str, str]) -> Patient:
    """A KTAS row's age, sex, vitals, mental state and pain; None for cells that are blank, damaged or implausible."""
    pain = _number(row["NRS_pain"], 0, 10)
    sbp, dbp = _number(row["SBP"], 40, 300), _number(row["DBP"], 20, 200)
    if sbp is not None and dbp is not None and sbp <= dbp:
        sbp = dbp = None
    return Patient(
        age=_number(row["Age"], 0, 120),
        sex={"1": "female", "2": "male"}.get(row["Sex"]),  # type: ignore[arg-type]
        vitals=Vitals(
            sbp=sbp,
            dbp=dbp,
            heart_rate=_number(row["HR"], 20, 300),
            respiratory_rate=_number(row["RR"], 4, 80),
            temperature=_number(row["BT"], 30, 45),
            spo2=_number(row["Saturation"], 40, 100),
        ),
        consciousness=_AVPU.get(row["Mental"]),
        pain=None if pain is None else round(pain),
    )


def _number(cell: str, low: float, high: float) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if low <= value <= high else None


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as handle:
        return list(csv.DictReader(handle))


def _read_labels(path: Path) -> dict[tuple[str, str], str]:
    return {(row["dataset"], row["label"]): row["condition_id"] for row in _rows(path)}
