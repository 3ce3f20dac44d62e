"""The calibration that belongs to a new version: temperatures, conformal masses and certainty limits fitted again.

On the calibration set, without the conditions whose meaning changed, and the validation feedback. A modality with too
few cases keeps the parent's numbers, as do the triage bounds (the set holds too few expert triages) and the distance
limits (embeddings do not change).
"""

from __future__ import annotations

from collections.abc import Sequence

from app.fusion.afnet import AFNet
from app.fusion.artifact import FusionArtifact
from app.fusion.calibration import Calibration
from app.training.calibrating import fit_calibration
from app.training.fitting import score
from app.training.tokens import LabelledTokens

MIN_CASES = 60


def recalibrate(network: AFNet, parent: FusionArtifact, cases: Sequence[LabelledTokens]) -> Calibration:
    """`cases`: that no training has seen and that the gate does not hold."""
    old = parent.calibration
    logits, triage = score(network, cases)
    fitted = fit_calibration(cases, logits, triage, parent.regions, coverage=old.coverage)
    enough = [modality for modality in fitted.temperature if fitted.fitted_on[modality] >= MIN_CASES]
    return old.model_copy(
        update={
            "temperature": old.temperature | {modality: fitted.temperature[modality] for modality in enough},
            "conformal_mass": old.conformal_mass | {modality: fitted.conformal_mass[modality] for modality in enough},
            "min_probability": old.min_probability
            | {modality: fitted.min_probability[modality] for modality in enough},
            "fitted_on": old.fitted_on | {modality: fitted.fitted_on[modality] for modality in enough},
        }
    )
