"""Calibration that belongs to one set of AFNet weights: temperatures, conformal thresholds, abstention limits.

* Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
* Conformal sets: adaptive prediction sets, Romano et al., "Classification with Valid and Adaptive Coverage", NeurIPS
  2020 (without the randomised tie break, so coverage errs on the high side).
* Abstention: a case is given up when its calibrated top probability is below a limit (a higher one for a text in which
  no finding was read); it is out of scope when every evidence token is farther from the training data than
  `distance_limits` allows (whitened principal-component distance, or what lies off the components: a picture of
  another kind often differs in directions that no X-ray varies in).
* Triage levels: the expected level is cut where the levels have the shares that experts gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from app.domain import FloatArray, Source

Modality = Literal["text", "image", "audio", "video", "mixed"]

_MODALITY: dict[str, Modality] = {
    Source.OMNI_TEXT: "text",
    Source.MEDICAL_TEXT: "text",
    Source.FINDINGS: "text",
    Source.OMNI_IMAGE: "image",
    Source.OMNI_AUDIO: "audio",
    Source.OMNI_VIDEO: "video",
}


def modality_of(sources: Sequence[str]) -> Modality:
    """What kind of case these sources make; vitals alone do not change it."""
    kinds = {_MODALITY[source] for source in sources if source in _MODALITY}
    if len(kinds) == 1:
        return next(iter(kinds))
    return "mixed" if kinds else "text"


class Calibration(BaseModel):
    """Numbers fitted on the dev sets; keys are modalities or sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: dict[Modality, float]
    coverage: float
    conformal_mass: dict[Modality, float]
    """Cumulative probability that the set must reach, per modality."""
    min_probability: dict[Modality, float]
    min_probability_unread: float
    """The same for a text in which no finding was read: it takes more to believe that it is a case at all."""
    triage_cuts: tuple[float, float, float, float]
    """Bounds of the expected triage level between 1 | 2 | 3 | 4 | 5."""
    distance_limits: dict[str, float]
    fitted_on: dict[str, int]
    """Dev cases used, per modality."""


@dataclass(frozen=True, slots=True)
class TrainingRegion:
    """Where a source's training vectors lie: mean (d,), components (k, d), scale (k,), residual (1,), all float32.

    `residual` is the mean square of what the components leave of a training vector.
    """

    mean: FloatArray
    components: FloatArray
    scale: FloatArray
    residual: FloatArray

    def distance(self, vector: FloatArray) -> float:
        """The larger of the mean squared whitened distance along the components and of the squared distance off
        them: either is about 1 for a training vector."""
        centred = vector - self.mean
        along = self.components @ centred
        whitened = along / self.scale
        off = max(float(centred @ centred - along @ along), 0.0)
        return max(float(np.mean(whitened * whitened)), off / float(self.residual[0]))


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """(n,) logits -> (n,) probabilities at `temperature`."""
    scaled = (logits - logits.max()) / temperature
    weights = np.exp(scaled)
    return np.asarray(weights / weights.sum(), np.float32)


def conformal_set_size(sorted_probabilities: FloatArray, mass: float) -> int:
    """Smallest prefix of descending probabilities that reaches `mass`; at least 1."""
    return min(int(np.searchsorted(np.cumsum(sorted_probabilities), mass) + 1), len(sorted_probabilities))
