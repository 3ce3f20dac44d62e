import numpy as np
import pytest
import torch

from app.domain import Source
from app.fusion.afnet import AFNet, AFNetConfig, triage_probabilities
from app.fusion.tokens import EvidenceToken, collate

RNG = np.random.default_rng(0)


def token(source: Source, width: int) -> EvidenceToken:
    return EvidenceToken(source.value, RNG.standard_normal(width).astype(np.float32))


def run(network: AFNet, *cases: list[EvidenceToken]) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        output = network(collate(cases, network.config.source_widths))
    return output.condition_logits.numpy(), output.triage_logits.numpy()


def test_a_case_scores_the_same_alone_and_padded_beside_a_longer_one(network: AFNet) -> None:
    short = [token(Source.OMNI_TEXT, 12)]
    long = [token(Source.OMNI_TEXT, 12), token(Source.OMNI_IMAGE, 12), token(Source.OMNI_IMAGE, 12)]
    alone, _ = run(network, short)
    together, _ = run(network, short, long)
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_order_of_tokens_does_not_matter(network: AFNet) -> None:
    tokens = [token(Source.OMNI_TEXT, 12), token(Source.OMNI_IMAGE, 12), token(Source.MEDICAL_TEXT, 8)]
    forward, _ = run(network, tokens)
    backward, _ = run(network, tokens[::-1])
    np.testing.assert_allclose(forward, backward, atol=1e-5)


def test_every_source_changes_the_answer(network: AFNet) -> None:
    base = [token(Source.OMNI_TEXT, 12)]
    reference, _ = run(network, base)
    for source, width in ((Source.OMNI_IMAGE, 12), (Source.MEDICAL_TEXT, 8), (Source.FINDINGS, 6)):
        changed, _ = run(network, [*base, token(source, width)])
        assert np.abs(changed - reference).max() > 1e-4, source


def test_sources_are_told_apart_when_their_vectors_are_equal(network: AFNet) -> None:
    vector = RNG.standard_normal(12).astype(np.float32)
    text, _ = run(network, [EvidenceToken(Source.OMNI_TEXT.value, vector)])
    image, _ = run(network, [EvidenceToken(Source.OMNI_IMAGE.value, vector)])
    assert np.abs(text - image).max() > 1e-4


def test_triage_probabilities_are_a_distribution(network: AFNet) -> None:
    _, triage = run(network, [token(Source.OMNI_TEXT, 12)], [token(Source.OMNI_IMAGE, 12)])
    levels = triage_probabilities(torch.from_numpy(triage)).numpy()
    assert levels.shape == (2, 5)
    assert (levels >= 0).all()
    np.testing.assert_allclose(levels.sum(1), 1.0, atol=1e-5)


def test_statistics_standardise_and_clip(network: AFNet) -> None:
    network.set_statistics(Source.OMNI_TEXT.value, torch.full((12,), 5.0), torch.full((12,), 2.0))
    standardised = network.source_encoder(Source.OMNI_TEXT.value).standardise(torch.tensor([[7.0] * 11 + [1e6]]))
    assert standardised[0, 0] == pytest.approx(1.0)
    assert standardised[0, -1] == 8.0


def test_linear_layers_train_including_the_attention_output(network: AFNet) -> None:
    network.train()
    batch = collate([[token(Source.OMNI_TEXT, 12)], [token(Source.OMNI_IMAGE, 12)]], network.config.source_widths)
    output = network(batch)
    (output.condition_logits.square().mean() + output.triage_logits.square().mean()).backward()
    used = ("sources.omni_text", "sources.omni_image", "blocks", "condition_head", "triage_head")
    for name, parameter in network.named_parameters():
        if name.startswith(used):
            assert parameter.grad is not None, name
    assert network.blocks[0].output.weight.grad.abs().sum() > 0


def test_config_survives_a_round_trip() -> None:
    config = AFNetConfig({"omni/text": 3}, conditions=2, input_dropout={"vitals": 0.1})
    assert AFNetConfig.from_dict(config.to_dict()) == config


def test_wrong_width_is_refused(network: AFNet) -> None:
    with pytest.raises(ValueError, match="width 3"):
        collate([[token(Source.OMNI_TEXT, 3)]], network.config.source_widths)
