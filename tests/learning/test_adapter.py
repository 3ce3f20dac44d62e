from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from app.fusion.afnet import AFNet
from app.fusion.tokens import collate
from app.learning.adapter import AdaptedNetwork, LoraOptions, head_modules, target_modules
from app.training.fitting import score
from tests.learning.small_network import WIDTHS, cases, trained_network


@pytest.fixture(scope="module")
def network() -> AFNet:
    return trained_network()


def trained_step(adapted: AdaptedNetwork, steps: int = 3) -> None:
    optimiser = torch.optim.Adam(adapted.parameters(), lr=1e-2)
    batch = collate([case.tokens for case in cases(12, 5)], WIDTHS)
    for _ in range(steps):
        output = adapted.network(batch)
        loss = output.condition_logits.square().mean() + output.triage_logits.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_every_projection_and_no_readout_is_adapted(network: AFNet):
    names = target_modules(network)
    assert "sources.omni_text.project" in names
    assert {f"blocks.0.{part}" for part in ("query", "key", "value", "output", "expand", "contract")} <= set(names)
    assert not [name for name in names if "readout" in name or "head" in name]
    assert "condition_readouts.omni_image.linear" in head_modules(network)


def test_before_any_step_it_answers_as_its_parent_bit_for_bit(network: AFNet):
    adapted = AdaptedNetwork(network, LoraOptions())
    before, after = score(network, cases(6, 2))[0], score(adapted.merged(), cases(6, 2))[0]
    assert (before == after).all()


def test_training_moves_every_adapter_that_the_cases_reach(network: AFNet):
    adapted = AdaptedNetwork(network, LoraOptions(dropout=0.0))
    before = adapted.state()
    trained_step(adapted)
    still = {name for name, value in adapted.state().items() if torch.equal(value, before[name])}
    unreached = {name for name in before if "omni_image" in name}  # no picture among the cases
    assert still <= unreached
    assert any("lora_A" in name for name in before)


def test_the_parent_is_not_touched(network: AFNet):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trained_step(AdaptedNetwork(network, LoraOptions()))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_merged_it_is_a_plain_network_that_answers_the_same(network: AFNet):
    adapted = AdaptedNetwork(network, LoraOptions())
    trained_step(adapted)
    adapted.network.eval()
    merged = adapted.merged()
    assert type(merged) is AFNet
    assert set(merged.state_dict()) == set(network.state_dict())
    with torch.inference_mode():
        batch = collate([case.tokens for case in cases(9, 3)], WIDTHS)
        expected, given = adapted.network(batch), merged(batch)
    torch.testing.assert_close(given.condition_logits, expected.condition_logits, atol=1e-5, rtol=1e-5)
    assert not torch.equal(
        given.condition_logits, network(collate([case.tokens for case in cases(9, 3)], WIDTHS)).condition_logits
    )


def test_the_saved_adapter_on_its_parent_gives_the_version(network: AFNet, tmp_path: Path):
    adapted = AdaptedNetwork(network, LoraOptions())
    trained_step(adapted)
    adapted.save(tmp_path / "adapter")
    again = PeftModel.from_pretrained(trained_network(), str(tmp_path / "adapter")).merge_and_unload()
    torch.testing.assert_close(dict(again.state_dict()), dict(adapted.merged().state_dict()))


def test_a_state_can_be_brought_back(network: AFNet):
    adapted = AdaptedNetwork(network, LoraOptions())
    before = adapted.state()
    trained_step(adapted)
    adapted.restore(before)
    assert all(torch.equal(value, before[name]) for name, value in adapted.state().items())
