"""Saliency of a case's images by occlusion: cover a part, look at what the first condition loses.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014. The parts are as many as the time
allows; runs on the inference thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from app.domain import Case, Embedding, Evidence, Image, Saliency, Source, UInt8Array
from app.encoders.session import Cancellation
from app.media import draw_heat_map
from app.services.ports import CaseEncoder, Predictor

GRIDS = (8, 7, 6, 5, 4, 3)
"""Parts across and down, the finest that fits the time first."""
OVERLAP = 0.25
"""How far a cover reaches into the neighbouring parts, in sides of a part: a sign on a border is not missed."""
DEADLINE_SHARE, REMAINING_SHARE = 0.4, 0.7
"""The most that all maps of a case may take: of its deadline, and of what is left of it."""
PLANNED_SHARE = 0.8
"""Of the budget: the rest is for runs that take longer than the one that was timed."""


def time_budget(deadline_s: float, elapsed_s: float) -> float:
    """Seconds that the maps of a case may take, `elapsed_s` after its deadline began to run."""
    return min(DEADLINE_SHARE * deadline_s, REMAINING_SHARE * max(deadline_s - elapsed_s, 0.0))


def saliency_maps(
    case: Case,
    evidence: Evidence,
    condition_id: str,
    encoder: CaseEncoder,
    predictor: Predictor,
    *,
    budget_s: float,
    cancellation: Cancellation,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Saliency, ...]:
    """One map per image, in order; fewer where the rest would take longer than `budget_s` seconds.

    One cover of every image is timed first: where not even the coarsest grid would fit, there is no map. DeadlineError
    once cancelled.
    """
    if not case.images or budget_s <= 0:
        return ()
    started = clock()
    occlusion = _Occlusion(case, evidence, condition_id, encoder, predictor)
    side = occlusion.affordable_side(budget_s, cancellation, lambda: clock() - started)
    maps: list[Saliency] = []
    while side is not None and len(maps) < len(case.images):
        found = occlusion.saliency(len(maps), side, cancellation, lambda: clock() - started > budget_s)
        if found is None:
            break
        maps.append(found)
    return tuple(maps)


class _Occlusion:
    """One case and what is to be explained of it."""

    def __init__(
        self, case: Case, evidence: Evidence, condition_id: str, encoder: CaseEncoder, predictor: Predictor
    ) -> None:
        self._case = case
        self._evidence = evidence
        self._condition_id = condition_id
        self._encoder = encoder
        self._predictor = predictor
        self._colours = [mean_colour(image.pixels) for image in case.images]

    def affordable_side(self, budget_s: float, cancellation: Cancellation, elapsed: Callable[[], float]) -> int | None:
        """The finest grid for which there is time, from how long one cover of each image takes; None: for none."""
        count = len(self._case.images)
        affordable: int | None = None
        for timed in range(1, count + 1):
            cancellation.check()
            self.without(timed - 1, 0, 0, 1, cancellation)
            spent = elapsed()
            each = spent / timed * count
            planned = PLANNED_SHARE * (budget_s - spent)
            affordable = next((side for side in GRIDS if side * side * each <= planned), None)
            if affordable is None:  # no time to time the others either
                break
        return affordable

    def saliency(
        self, number: int, side: int, cancellation: Cancellation, is_late: Callable[[], bool]
    ) -> Saliency | None:
        """`side` x `side` parts of image `number`; None where it became late."""
        variants = [self._evidence]
        for row in range(side):
            for column in range(side):
                cancellation.check()
                if is_late():
                    return None
                variants.append(self.without(number, row, column, side, cancellation))
        full, *without = self._predictor.log_odds(variants, self._condition_id)
        effects = (full - np.asarray(without, np.float64)).reshape(side, side)
        rows = tuple(tuple(round(float(value), 4) + 0.0 for value in line) for line in effects)
        return Saliency(number, self._condition_id, rows, draw_heat_map(self._case.images[number].pixels, effects))

    def without(self, number: int, row: int, column: int, side: int, cancellation: Cancellation) -> Evidence:
        """The evidence with one part of image `number` covered."""
        image = self._case.images[number]
        covered = replace(image, pixels=cover(image.pixels, row, column, side, self._colours[number]))
        return replace(self._evidence, embeddings=self._embeddings(number, covered, cancellation))

    def _embeddings(self, number: int, image: Image, cancellation: Cancellation) -> tuple[Embedding, ...]:
        """The case's embeddings with image `number` replaced. Where segments do not see one another, only the image is
        encoded again."""
        if self._predictor.sequence_layout != "independent":
            images = (*self._case.images[:number], image, *self._case.images[number + 1 :])
            others = tuple(item for item in self._evidence.embeddings if item.source is Source.MEDICAL_TEXT)
            return self._encoder.encode(replace(self._case, images=images), cancellation, keep=False) + others
        alone = Case(language=self._case.language, images=(image,))
        (changed,) = self._encoder.encode(alone, cancellation, keep=False)
        result, seen = [], 0
        for item in self._evidence.embeddings:
            is_image = item.source is Source.OMNI_IMAGE
            result.append(changed if is_image and seen == number else item)
            seen += is_image
        return tuple(result)


def mean_colour(pixels: UInt8Array) -> UInt8Array:
    """(height, width, 3) -> (3,)."""
    colour: UInt8Array = pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)
    return colour


def cover(pixels: UInt8Array, row: int, column: int, side: int, colour: UInt8Array) -> UInt8Array:
    """(height, width, 3) -> a copy with part (row, column) of `side` x `side` and OVERLAP around it in `colour`."""
    height, width, _ = pixels.shape
    covered = pixels.copy()
    covered[_part(row, side, height), _part(column, side, width)] = colour
    return covered


def _part(index: int, side: int, length: int) -> slice:
    """Part `index` of `side` along an edge of `length` pixels, widened by OVERLAP; never empty."""
    start = min(max(0, round((index - OVERLAP) * length / side)), length - 1)
    return slice(start, max(round((index + 1 + OVERLAP) * length / side), start + 1))
