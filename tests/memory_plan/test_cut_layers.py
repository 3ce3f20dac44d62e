"""The deepest pair of decoders that fits."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from app.memory_plan.cut_layers import CutLayers, largest_that_fits, near_a_third


@pytest.mark.parametrize(
    ("depths", "held", "expected"),
    [
        ((28, 32), (28, 32), (9, 11)),
        ((28, 32), (28, 8), (9, 8)),
        ((30, 30), (8, 11), (8, 10)),
        ((2, 1), (2, 1), (1, 1)),
    ],
)
def test_a_third_of_each_depth_where_the_graph_has_it(
    depths: tuple[int, int], held: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert near_a_third(CutLayers(*depths), CutLayers(*held)) == CutLayers(*expected)


@pytest.mark.parametrize("budget", range(0, 2600, 130))
def test_it_fits_and_no_layer_more_of_both_does(budget: int) -> None:
    most = CutLayers(9, 11)

    def fits(pair: CutLayers) -> bool:
        return 117 * pair.omni + 109 * pair.medical <= budget

    found = largest_that_fits(most, fits)
    if found is None:
        assert not fits(CutLayers(1, 1))
        return
    assert fits(found)
    both = CutLayers(found.omni + 1, found.medical + 1)
    assert found == most or not fits(both) or both.omni > most.omni or both.medical > most.medical
    assert abs(found.omni / 9 - found.medical / 11) <= 0.2, "both are cut in about the same proportion"


def test_more_memory_never_gives_fewer_layers() -> None:
    sizes = [
        largest_that_fits(CutLayers(9, 11), lambda pair, budget=budget: 3 * pair.omni + 2 * pair.medical <= budget)  # type: ignore[misc]
        for budget in range(5, 60)
    ]
    for smaller, larger in pairwise(sizes):
        assert smaller is not None
        assert larger is not None
        assert smaller.omni <= larger.omni or smaller.medical <= larger.medical


def test_what_is_asked_for_is_never_passed() -> None:
    for omni, medical in product(range(1, 5), range(1, 5)):
        assert largest_that_fits(CutLayers(omni, medical), lambda _: True) == CutLayers(omni, medical)
