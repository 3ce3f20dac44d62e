"""How many layers of each decoder run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.encoders.manifest import a_third


@dataclass(frozen=True, slots=True)
class CutLayers:
    """K of each encoder."""

    omni: int
    medical: int


def near_a_third(depths: CutLayers, held: CutLayers) -> CutLayers:
    """A third of each checkpoint's depth, where the graph holds so many layers."""

    def third(depth: int, most: int) -> int:
        return min(a_third(depth), most)

    return CutLayers(third(depths.omni, held.omni), third(depths.medical, held.medical))


def largest_that_fits(most: CutLayers, fits: Callable[[CutLayers], bool]) -> CutLayers | None:
    """The deepest pair up to `most` that fits, both cut in about the same proportion; None: not even a layer each."""
    steps = max(most.omni, most.medical)
    for step in range(steps, 0, -1):
        pair = CutLayers(max(1, most.omni * step // steps), max(1, most.medical * step // steps))
        if fits(pair):
            return _one_more(pair, most, fits)
    return None


def _one_more(pair: CutLayers, most: CutLayers, fits: Callable[[CutLayers], bool]) -> CutLayers:
    """What rounding down may have left room for."""
    for deeper in (CutLayers(pair.omni, pair.medical + 1), CutLayers(pair.omni + 1, pair.medical)):
        if deeper.omni <= most.omni and deeper.medical <= most.medical and fits(deeper):
            return deeper
    return pair
