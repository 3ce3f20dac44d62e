from __future__ import annotations

import numpy as np
import pytest
import torch

from app.fusion.afnet import AFNet
from app.learning.training import TrainingCases, TrainingOptions, WeightedCase, step_count, train_adapter
from app.training.fitting import score
from app.training.tokens import LabelledTokens
from tests.learning.small_network import cases, trained_network

MOVED = {0: 1}
"""Condition 0 is called 1 in this clinic."""
OPTIONS = TrainingOptions(
    min_steps=60, max_steps=60, evaluate_every=10, replay_batch=32, feedback_batch=16, learning_rate=4e-3
)


@pytest.fixture(scope="module")
def network() -> AFNet:
    return trained_network()


def material(*, weight: float = 1.0) -> TrainingCases:
    moved = cases(120, 20, label=MOVED, triage=False)
    unchanged = [case for case in cases(120, 21) if case.condition not in MOVED]
    return TrainingCases(
        feedback=tuple(WeightedCase(case, weight) for case in moved[:90]),
        validation=tuple(moved[90:]),
        replay=tuple(unchanged[:80]),
        reference=tuple(unchanged[80:]),
    )


def accuracy(network: AFNet, tested: list[LabelledTokens]) -> float:
    return float((score(network, tested)[0].argmax(1) == np.array([case.condition for case in tested])).mean())


def quiet(_step: int, _steps: int, _figures: dict[str, float]) -> None:
    """Nobody watches."""


def test_it_learns_the_local_meaning_and_keeps_the_rest(network: AFNet):
    trained = train_adapter(network, material(), OPTIONS, quiet)
    tested = cases(120, 30, label=MOVED)
    drifted = [case for number, case in enumerate(tested) if number % 6 == 0]
    rest = [case for number, case in enumerate(tested) if number % 6]
    assert accuracy(network, drifted) == 0.0
    assert accuracy(trained.network, drifted) >= 0.7
    assert accuracy(trained.network, rest) >= accuracy(network, rest) - 0.01
    assert trained.validation_loss[0] > min(trained.validation_loss)


def test_the_same_seed_gives_the_same_weights(network: AFNet):
    first, second = (train_adapter(network, material(), OPTIONS, quiet).network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_without_weight_teach_nothing_of_their_labels(network: AFNet):
    trained = train_adapter(network, material(weight=0.0), OPTIONS, quiet)
    drifted = [case for number, case in enumerate(cases(120, 30, label=MOVED)) if number % 6 == 0]
    assert accuracy(trained.network, drifted) <= 0.1


def test_it_stops_early_where_nothing_gets_better(network: AFNet):
    wrong = tuple(cases(30, 40, label={n: (n + 3) % 6 for n in range(6)}, triage=False))
    base = material()
    spoilt = TrainingCases(base.feedback, wrong, base.replay, base.reference)
    options = TrainingOptions(min_steps=400, max_steps=400, evaluate_every=5, patience=3, replay_batch=16)
    assert train_adapter(network, spoilt, options, quiet).steps < 400


def test_whatever_the_observer_raises_ends_it(network: AFNet):
    def stop(step: int, steps: int, figures: dict[str, float]) -> None:
        assert (steps, set(figures)) == (60, {"train_loss", "validation_loss"})
        if step == 7:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        train_adapter(network, material(), OPTIONS, stop)


@pytest.mark.parametrize("missing", ["feedback", "replay"])
def test_nothing_to_learn_from_is_refused(network: AFNet, missing: str):
    full = material()
    parts = {name: getattr(full, name) for name in ("feedback", "validation", "replay", "reference")}
    with pytest.raises(ValueError, match="nothing"):
        train_adapter(network, TrainingCases(**{**parts, missing: ()}), OPTIONS, quiet)


def test_more_rows_take_more_steps_between_the_bounds():
    options = TrainingOptions()
    counts = [step_count(rows, options) for rows in (1, 300, 100_000)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (options.min_steps, options.max_steps)
