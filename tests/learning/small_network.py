"""A small fusion network on made-up conditions, and cases that it can learn."""

from __future__ import annotations

import numpy as np
import torch

from app.domain import FloatArray, Source
from app.fusion.afnet import AFNet, AFNetConfig
from app.fusion.calibration import Calibration
from app.fusion.tokens import EvidenceToken, collate
from app.training.tokens import LabelledTokens

CONDITIONS = 6
WIDTHS = {Source.OMNI_TEXT.value: 12, Source.MEDICAL_TEXT.value: 8, Source.OMNI_IMAGE.value: 12}
SPECIALTIES = ("a", "a", "a", "b", "b", "b")
SEVERITIES = np.array([1, 2, 3, 4, 5, 5], np.float32)
CALIBRATION = Calibration(
    temperature={"text": 1.0, "image": 1.0, "mixed": 1.0},
    coverage=0.9,
    conformal_mass={"text": 0.9, "image": 0.9, "mixed": 0.9},
    min_probability={"text": 0.1, "image": 0.1, "mixed": 0.1},
    min_probability_unread=0.4,
    triage_cuts=(1.5, 2.5, 3.5, 4.5),
    distance_limits={},
    fitted_on={},
)
_CENTRES = {
    source: np.random.default_rng(number).standard_normal((CONDITIONS, width)).astype(np.float32) * 2
    for number, (source, width) in enumerate(WIDTHS.items())
}


def vector(source: str, condition: int, rng: np.random.Generator) -> FloatArray:
    spread: FloatArray = rng.standard_normal(WIDTHS[source]).astype(np.float32)
    return np.asarray(_CENTRES[source][condition] + 0.5 * spread, np.float32)


def cases(count: int, seed: int, *, label: dict[int, int] | None = None, triage: bool = True) -> list[LabelledTokens]:
    """Text cases of every condition in turn; `label` renames some."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        condition = number % CONDITIONS
        tokens = tuple(
            EvidenceToken(source, vector(source, condition, rng))
            for source in (Source.OMNI_TEXT.value, Source.MEDICAL_TEXT.value)
        )
        level = 5 - condition % 5 if triage else 0
        made.append(LabelledTokens("text", tokens, (label or {}).get(condition, condition), level, 1.0))
    return made


def trained_network(steps: int = 150) -> AFNet:
    """Right on nearly every case."""
    torch.manual_seed(0)
    network = AFNet(AFNetConfig(dict(WIDTHS), CONDITIONS, 16, 2, 1, 0.0, {}, (Source.OMNI_IMAGE.value,)))
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    train = cases(96, 1)
    batch = collate([case.tokens for case in train], WIDTHS)
    labels = torch.tensor([case.condition for case in train])
    levels = torch.tensor([case.triage for case in train])
    targets = (levels[:, None] <= torch.arange(1, 5)[None, :]).float()
    for _ in range(steps):
        output = network(batch)
        loss = torch.nn.functional.cross_entropy(output.condition_logits, labels)
        loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(output.triage_logits, targets)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()
