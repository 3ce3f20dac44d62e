"""The recipe's machinery on a toy problem: it learns, pairs media with text, and is reproducible."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.domain import Source
from app.fusion.afnet import AFNet, AFNetConfig, AFNetOutput
from app.fusion.tokens import EvidenceToken
from app.training.fitting import Composer, FitOptions, case_loss, fit, score, source_statistics
from app.training.tokens import GRAVE, MILD, OUTSIDE, LabelledTokens

CENTRES = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32) * 3
NORMAL = 3
OPTIONS = FitOptions(steps=120, batch_size=32, learning_rate=3e-3, seed=1)


def cases(source: Source, labels: tuple[int, ...], count: int, seed: int) -> list[LabelledTokens]:
    rng = np.random.default_rng(seed)
    result = []
    for number in range(count):
        label = labels[number % len(labels)]
        vector = (CENTRES[label] + rng.standard_normal(16)).astype(np.float32)
        result.append(LabelledTokens("g", (EvidenceToken(source.value, vector),), label, 1 + label, 1.0))
    return result


def pools(seed: int) -> dict[str, list[LabelledTokens]]:
    return {
        "text": cases(Source.OMNI_TEXT, (0, 1, 2), 240, seed),
        "image": cases(Source.OMNI_IMAGE, (0, NORMAL), 120, seed + 1),
    }


def train() -> AFNet:
    sets = pools(10)
    composer = Composer(sets, {"text": 0.6, "image": 0.4}, NORMAL, pair_share=0.4)
    config = AFNetConfig({"omni/text": 16, "omni/image": 16}, conditions=4, width=32, heads=4, layers=1)
    return fit(composer, config, source_statistics([case for pool in sets.values() for case in pool]), OPTIONS)


@pytest.fixture(scope="module")
def network() -> AFNet:
    return train()


def test_it_learns_both_modalities_and_triage(network: AFNet) -> None:
    held_out = [case for pool in pools(99).values() for case in pool]
    logits, triage = score(network, held_out)
    truth = np.array([case.condition for case in held_out])
    assert (logits.argmax(1) == truth).mean() > 0.9
    level = 1 + (triage < 0).sum(1)
    assert np.abs(level - np.array([case.triage for case in held_out])).mean() < 0.8


def test_the_same_seed_gives_the_same_weights(network: AFNet) -> None:
    again = train()
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_normal_picture_is_paired_with_a_text_of_something_else() -> None:
    composer = Composer(pools(10), {"text": 0.0, "image": 1.0}, NORMAL, pair_share=1.0)
    rng = random.Random(0)
    drawn = [composer.draw(rng) for _ in range(200)]
    paired = [case for case in drawn if len({token.source for token in case.tokens}) == 2]
    assert {case.condition for case in paired} == {0, 1, 2}
    assert NORMAL not in {case.condition for case in paired}


def test_what_is_no_medical_picture_leaves_the_text_its_say() -> None:
    sets = pools(10) | {
        "image": [replace(case, condition=OUTSIDE, triage=0) for case in cases(Source.OMNI_IMAGE, (0,), 40, 5)]
    }
    composer = Composer(sets, {"text": 0.0, "image": 1.0}, NORMAL, pair_share=1.0)
    rng = random.Random(0)
    drawn = [composer.draw(rng) for _ in range(100)]
    assert {case.condition for case in drawn} == {0, 1, 2}


def loss_of(condition: int, logits: list[float], severities: tuple[int, ...] = (1, 2, 4, 5)) -> float:
    output = AFNetOutput(torch.tensor([logits]), torch.zeros(1, 4))
    case = LabelledTokens("g", (), condition, 0, 0.0)
    return float(case_loss(output, [case], FitOptions(), severities))


def test_a_case_outside_of_the_catalogue_should_speak_for_nothing() -> None:
    assert loss_of(OUTSIDE, [0.0, 0.0, 0.0, 0.0]) < loss_of(OUTSIDE, [4.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(("label", "right", "wrong"), [(MILD, 0, 3), (GRAVE, 3, 0)])
def test_a_case_of_known_severity_should_speak_for_that_severity(label: int, right: int, wrong: int) -> None:
    towards = [4.0 if index == right else 0.0 for index in range(4)]
    away = [4.0 if index == wrong else 0.0 for index in range(4)]
    assert loss_of(label, towards) < loss_of(label, [0.0] * 4) < loss_of(label, away)


def test_unknown_labels_do_not_train_a_head() -> None:
    unknown = [LabelledTokens("g", case.tokens, -1, 0, 0.0) for case in pools(10)["text"]]
    composer = Composer({"text": unknown}, {"text": 1.0}, NORMAL, pair_share=0.0)
    config = AFNetConfig({"omni/text": 16}, conditions=4, width=16, heads=2, layers=1)
    options = FitOptions(steps=3, batch_size=8)
    network = fit(composer, config, source_statistics(unknown), options)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
