"""The linear condition readout on a toy problem: pictures of two conditions, and texts of a third."""

import numpy as np
import pytest
import torch

from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.tokens import EvidenceToken
from app.training.condition_readout import install_condition_readout
from app.training.fitting import score
from app.training.tokens import OUTSIDE, LabelledTokens


def pictures(count: int, seed: int) -> list[LabelledTokens]:
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        vector = rng.standard_normal(12).astype(np.float32)
        vector[0] += 3 if number % 2 else -3
        cases.append(LabelledTokens("cxr", (EvidenceToken("omni/image", vector),), number % 2, 0, 0.0))
    return cases


TEXT = LabelledTokens("text", (EvidenceToken("omni/text", np.ones(8, np.float32)),), 2, 0, 0.0)


@pytest.fixture
def network() -> AFNet:
    torch.manual_seed(0)
    widths = {"omni/text": 8, "omni/image": 12}
    config = AFNetConfig(widths, conditions=4, width=16, heads=2, layers=1, readout_sources=("omni/image",))
    return AFNet(config).eval()


def test_it_tells_its_conditions_apart(network: AFNet) -> None:
    install_condition_readout(network, "omni/image", pictures(100, 1), pictures(60, 2))
    fresh = pictures(80, 3)
    logits = score(network, fresh)[0]
    assert (logits[:, :2].argmax(1) == [case.condition for case in fresh]).mean() > 0.95


def test_how_probable_its_conditions_are_together_stays_with_the_blocks(network: AFNet) -> None:
    fresh = pictures(20, 3)
    before = torch.from_numpy(score(network, fresh)[0]).softmax(1)
    install_condition_readout(network, "omni/image", pictures(100, 1), pictures(60, 2))
    after = torch.from_numpy(score(network, fresh)[0]).softmax(1)
    assert torch.allclose(before[:, :2].sum(1), after[:, :2].sum(1), atol=1e-5)
    assert torch.allclose(before[:, 2:], after[:, 2:], atol=1e-5)


def test_cases_with_a_text_are_left_to_the_blocks(network: AFNet) -> None:
    picture = pictures(1, 4)[0]
    both = LabelledTokens("both", (*TEXT.tokens, *pictures(1, 5)[0].tokens), 2, 0, 0.0)
    before = score(network, [picture, TEXT, both])[0]
    install_condition_readout(network, "omni/image", pictures(100, 1), pictures(60, 2))
    after = score(network, [picture, TEXT, both])[0]
    assert np.allclose(after[1:], before[1:], atol=1e-5)
    assert not np.allclose(after[0], before[0], atol=1e-2)


def test_what_is_no_medical_picture_is_not_fitted_on(network: AFNet) -> None:
    foreign = [LabelledTokens("foreign", case.tokens, OUTSIDE, 0, 0.0) for case in pictures(40, 6)]
    install_condition_readout(network, "omni/image", [*pictures(100, 1), *foreign], pictures(60, 2))
    assert network.condition_readout("omni/image").known.tolist() == [True, True, False, False]


def test_one_condition_is_nothing_to_tell_apart(network: AFNet) -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        install_condition_readout(network, "omni/image", pictures(1, 1), pictures(10, 2))


def test_the_configuration_survives_json(network: AFNet) -> None:
    import json

    again = AFNetConfig.from_dict(json.loads(json.dumps(network.config.to_dict())))
    assert again == network.config
