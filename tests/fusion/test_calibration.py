import numpy as np
import pytest

from app.fusion.calibration import TrainingRegion, conformal_set_size, modality_of, softmax
from app.fusion.tokens import EvidenceToken
from app.training.calibrating import best_temperature, conformal_mass, fit_regions
from app.training.tokens import LabelledTokens

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
