"""The linear triage readout on a toy problem: vital signs say how urgent it is, the text nothing."""

import numpy as np
import pytest
import torch

from app.domain import Source
from app.fusion.afnet import AFNet, AFNetConfig, triage_probabilities
from app.fusion.risk import expected_level
from app.fusion.tokens import EvidenceToken
from app.training.fitting import score
from app.training.tokens import LabelledTokens
from app.training.triage_readout import install_triage_readout


def visits(count: int, seed: int) -> list[LabelledTokens]:
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        vitals = rng.standard_normal(4).astype(np.float32)
        level = int(np.clip(round(3 + vitals[0] - 0.5 * vitals[1] + 0.3 * rng.standard_normal()), 1, 5))
        text = EvidenceToken(Source.OMNI_TEXT.value, rng.standard_normal(8).astype(np.float32))
        tokens = (text, EvidenceToken(Source.VITALS.value, vitals))
        result.append(LabelledTokens("ktas", tokens, -1, level, 1.0))
    return result


@pytest.fixture
def network() -> AFNet:
    torch.manual_seed(0)
    config = AFNetConfig({"omni/text": 8, "vitals": 4, "omni/image": 6}, conditions=3, width=16, heads=2, layers=1)
    return AFNet(config).eval()


def levels(network: AFNet, cases: list[LabelledTokens]) -> list[float]:
    _, triage = score(network, cases)
    return [expected_level(row) for row in triage_probabilities(torch.from_numpy(triage)).numpy()]


def test_it_reads_what_the_blocks_have_not_learned(network: AFNet) -> None:
    held_out = visits(200, 2)
    truth = [case.triage for case in held_out]
    before = np.corrcoef(levels(network, held_out), truth)[0, 1]
    install_triage_readout(network, {"ktas": visits(400, 1)}, {"ktas": visits(200, 3)})
    after = np.corrcoef(levels(network, held_out), truth)[0, 1]
    assert after > 0.85 > before


def test_its_probabilities_are_calibrated_to_the_held_out_levels(network: AFNet) -> None:
    install_triage_readout(network, {"ktas": visits(400, 1)}, {"ktas": visits(200, 3)})
    network.triage_readout.share.fill_(1.0)
    fresh = visits(400, 4)
    _, triage = score(network, fresh)
    stated = triage_probabilities(torch.from_numpy(triage)).numpy().mean(0)
    seen = np.bincount([case.triage for case in fresh], minlength=6)[1:] / len(fresh)
    assert np.abs(stated - seen).max() < 0.06


def test_a_case_of_a_picture_alone_gets_the_middle_of_the_readout(network: AFNet) -> None:
    install_triage_readout(network, {"ktas": visits(400, 1)}, {"ktas": visits(200, 3)})
    network.triage_readout.share.fill_(1.0)
    picture = LabelledTokens("cxr", (EvidenceToken("omni/image", np.ones(6, np.float32)),), 0, 0, 0.0)
    assert 2.5 < levels(network, [picture])[0] < 3.5


def test_without_triaged_cases_nothing_is_installed(network: AFNet) -> None:
    install_triage_readout(network, {"ktas": []}, {"ktas": []})
    assert float(network.triage_readout.share) == 0.0
