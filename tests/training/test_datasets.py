import os
from pathlib import Path

import pytest

from app.training.datasets import DataFolder, ktas_patient

ROW = {
    "Age": "71", "Sex": "2", "SBP": "160", "DBP": "100", "HR": "84", "RR": "18", "BT": "36.6", "Saturation": "??",
    "NRS_pain": "#BOÞ!", "Mental": "2",
}  # fmt: skip


def test_damaged_cells_become_none() -> None:
    patient = ktas_patient(ROW)
    assert patient.sex == "male"
    assert patient.consciousness == "verbal"
    assert patient.vitals.sbp == 160
    assert patient.vitals.spo2 is None
    assert patient.pain is None


def test_implausible_numbers_become_none() -> None:
    patient = ktas_patient({**ROW, "SBP": "9999", "Age": "-3", "BT": "", "NRS_pain": "4"})
    assert patient.vitals.sbp is None
    assert patient.age is None
    assert patient.vitals.temperature is None
    assert patient.pain == 4


def test_pressures_in_the_wrong_order_become_none() -> None:
    patient = ktas_patient({**ROW, "SBP": "80", "DBP": "120"})
    assert patient.vitals.sbp is None
    assert patient.vitals.dbp is None


@pytest.mark.data
def test_every_label_of_the_data_folder_maps_to_a_condition() -> None:
    root = Path(os.environ.get("MEDMODAL_DATA", "../shared/data"))
    if not (root / "labels.csv").is_file():
        pytest.skip(f"no data folder at {root} (set MEDMODAL_DATA)")
    data = DataFolder(root)
    sets = (
        data.symptom2disease("dev"),
        data.ddxplus("dev", ("full",)),
        data.chest_xrays("dev"),
        data.heart_sounds("dev"),
    )
    assert [len(samples) for samples in sets] == [171, 406, 169, 150]
    assert all(sample.condition_id for samples in sets for sample in samples)
