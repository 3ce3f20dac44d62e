"""What both towers' training loops share: parameter groups, learning rate, batches, averaging."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors (norms, biases) do not."""
    matrices = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def warmup_cosine(step: int, steps: int, warmup: float = 0.06) -> float:
    """Factor of the learning rate: linear up, then half a cosine down to 1 %."""
    done = step / steps
    if done < warmup:
        return (step + 1) / (warmup * steps + 1)
    return 0.01 + 0.495 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def batches(count: int, steps: int, size: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """`steps` batches of indices below `count`; every index once before any comes again."""
    passes = -(-steps * size // count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)])
    for step in range(steps):
        yield order[step * size : (step + 1) * size]


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, limit: float = 0.995) -> None:
    """Exponential moving average of the weights; its memory grows with the steps taken, up to `limit`."""
    keep = min(limit, (step + 1) / (step + 10))
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - keep)
