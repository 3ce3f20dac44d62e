import numpy as np
import pytest
import torch

from app.fusion.afnet import triage_probabilities
from app.fusion.calibration import TrainingRegion, conformal_set_size, modality_of, softmax
from app.fusion.risk import triage_level
from app.fusion.tokens import EvidenceToken
from app.training.calibrating import best_temperature, conformal_mass, fit_calibration, fit_regions, fit_triage_cuts
from app.training.tokens import OUTSIDE, LabelledTokens

RNG = np.random.default_rng(3)


def overconfident(count: int, labels: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose right temperature is 2: labels are drawn from softmax(logits / 2)."""
    logits = (RNG.standard_normal((count, labels)) * 4).astype(np.float32)
    truth = np.array([RNG.choice(labels, p=_normalised(softmax(row, 2.0))) for row in logits])
    return logits, truth


def _normalised(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64)
    return wide / wide.sum()


def test_temperature_is_recovered() -> None:
    logits, truth = overconfident(4000)
    assert best_temperature(logits, truth) == pytest.approx(2.0, rel=0.1)


def test_conformal_sets_cover_as_stated_on_fresh_cases() -> None:
    logits, truth = overconfident(6000)
    probabilities = np.stack([softmax(row, 2.0) for row in logits])
    mass = conformal_mass(probabilities[:3000], truth[:3000], 0.9)
    covered = 0
    for row, label in zip(probabilities[3000:], truth[3000:], strict=True):
        order = np.argsort(-row)
        covered += label in order[: conformal_set_size(row[order], mass)]
    assert 0.87 <= covered / 3000 <= 0.95


def test_set_size_is_at_least_one_and_at_most_all() -> None:
    certain = np.array([0.99, 0.01], np.float32)
    assert conformal_set_size(certain, 1e-6) == 1
    assert conformal_set_size(certain, 1.0) == 2


@pytest.mark.parametrize(
    ("sources", "modality"),
    [
        (["omni/text", "medical/text", "findings"], "text"),
        (["omni/image", "vitals"], "image"),
        (["omni/image", "omni/text"], "mixed"),
        (["omni/audio"], "audio"),
        (["omni/video"], "video"),
        (["vitals"], "text"),
    ],
)
def test_modality_of_sources(sources: list[str], modality: str) -> None:
    assert modality_of(sources) == modality


def test_training_region_tells_near_from_far() -> None:
    cases = [
        LabelledTokens("g", (EvidenceToken("omni/text", RNG.standard_normal(16).astype(np.float32)),), 0, 0, 0.0)
        for _ in range(400)
    ]
    region = fit_regions(cases)["omni/text"]
    assert isinstance(region, TrainingRegion)
    near = np.mean([region.distance(RNG.standard_normal(16).astype(np.float32)) for _ in range(100)])
    far = region.distance(np.full(16, 10.0, np.float32))
    assert 0.7 < near < 1.4
    assert far > 20


def test_a_vector_off_the_components_is_far() -> None:
    """Training vectors vary in four directions of sixteen; another kind of input leaves them."""
    basis = np.linalg.qr(RNG.standard_normal((16, 16)))[0].astype(np.float32)
    inside = (RNG.standard_normal((300, 4)) @ basis[:4] + 0.01 * RNG.standard_normal((300, 16))).astype(np.float32)
    region = TrainingRegion(inside.mean(0), basis[:4], np.ones(4, np.float32), np.array([0.01**2 * 12], np.float32))
    assert np.median([region.distance(row) for row in inside]) < 2
    assert region.distance(inside[0] + basis[5]) > 100 * region.distance(inside[0])


def test_regions_are_of_the_catalogue_alone() -> None:
    near = [LabelledTokens("g", (EvidenceToken("omni/image", RNG.standard_normal(8).astype(np.float32)),), 0, 0, 0.0)
            for _ in range(50)]  # fmt: skip
    far = [LabelledTokens("g", (EvidenceToken("omni/image", np.full(8, 50, np.float32)),), OUTSIDE, 0, 0.0)] * 20
    region = fit_regions([*near, *far])["omni/image"]
    assert region.distance(far[0].tokens[0].vector) > 100


def test_triage_bounds_give_the_shares_that_experts_gave() -> None:
    logits = RNG.standard_normal((400, 1)).astype(np.float32) * 2 + np.array([-3, -1, 1, 3], np.float32)
    truth = RNG.choice([2, 3, 4], p=[0.2, 0.5, 0.3], size=400)
    cases = [LabelledTokens("ktas", (), -1, int(level), 1.0) for level in truth]
    cuts = fit_triage_cuts(cases, logits)
    assert list(cuts) == sorted(cuts)
    levels = [triage_level(row, cuts) for row in triage_probabilities(torch.from_numpy(logits)).numpy()]
    for level in (2, 3, 4):
        assert levels.count(level) == pytest.approx((truth == level).sum(), abs=3)


def test_triage_bounds_without_experts_lie_halfway() -> None:
    assert fit_triage_cuts([], np.zeros((0, 4), np.float32)) == (1.5, 2.5, 3.5, 4.5)


def test_what_is_unlike_any_case_sets_the_limit_for_texts_without_findings() -> None:
    token = (EvidenceToken("omni/text", np.zeros(4, np.float32)),)
    known = [LabelledTokens("g", token, number % 3, 0, 0.0) for number in range(60)]
    logits = np.eye(3, dtype=np.float32)[[case.condition for case in known]] * 6
    outside = [LabelledTokens("not_medical", token, OUTSIDE, 0, 0.0)] * 20
    spread, sure = np.zeros((20, 3), np.float32), np.tile(np.array([9, 0, 0], np.float32), (20, 1))
    limits = [
        fit_calibration([*known, *outside], np.vstack([logits, rows]), np.zeros((80, 4), np.float32), {})
        for rows in (spread, sure)
    ]
    assert limits[0].min_probability_unread < limits[1].min_probability_unread
