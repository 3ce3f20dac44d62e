"""Fits AFNet's linear condition readouts: strongly regularised logistic regression on one source's train cases.

The blocks see 731 X-rays among 20,000 texts and learn them by heart. The readout is fitted on pictures as they are: on
the X-ray dev pictures (2026-11-22) that read 0.88 to 0.89 macro-F1 for every ridge from 0.003 to 5, and 0.83 to 0.88
with cropped and re-exposed variants among them, which the tower has seen already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.fusion.afnet import AFNet
from app.training.calibrating import best_temperature
from app.training.tokens import LabelledTokens

_RIDGE = 2.0
_SHARE = 0.97
_ITERATIONS = 100


def install_condition_readout(
    network: AFNet, source: str, train: Sequence[LabelledTokens], dev: Sequence[LabelledTokens]
) -> None:
    """Fit on the train cases, scale by likelihood on the dev ones. ValueError for fewer than two known conditions."""
    vectors, labels = _examples(network, source, train)
    known = sorted(set(labels))
    if len(known) < 2:
        raise ValueError(f"source {source}: fewer than two conditions to tell apart")
    targets = torch.tensor([known.index(label) for label in labels])
    weight, bias = _logistic(vectors, targets, len(known))
    held_out, truth = _examples(network, source, dev)
    logits = (held_out @ weight.T + bias).numpy()
    scale = 1.0 / best_temperature(logits, np.array([known.index(label) for label in truth]))
    readout = network.condition_readout(source)
    readout.linear.weight[known] = weight * scale
    readout.linear.bias[known] = bias * scale
    readout.known[known] = True
    readout.share.fill_(_SHARE)


def _examples(network: AFNet, source: str, cases: Sequence[LabelledTokens]) -> tuple[Tensor, list[int]]:
    """Standardised vectors (n, in_features) of the cases of a known condition, and their conditions."""
    pairs = [
        (token.vector, case.condition)
        for case in cases
        for token in case.tokens
        if token.source == source and case.condition >= 0
    ]
    vectors = torch.from_numpy(np.stack([vector for vector, _ in pairs]))
    return network.source_encoder(source).standardise(vectors), [condition for _, condition in pairs]


def _logistic(vectors: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weight (classes, in_features) and bias (classes,) of ridge-penalised regression; every class counts the same."""
    weight = torch.zeros(classes, vectors.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    balance = 1.0 / torch.bincount(targets, minlength=classes).float()
    per_case = balance[targets] / balance[targets].mean()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        errors = functional.cross_entropy(vectors @ weight.T + bias, targets, reduction="none")
        total = (errors * per_case).mean() + 0.5 * _RIDGE * (weight * weight).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
