"""Fine-tuning of the teacher on the X-rays, from what its frozen blocks see in the views."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.training.towers.optimisation import batches, update_average
from app.training.towers.teacher import Teacher
from app.training.towers.views import CLASSES, LabelArray
from app.training.towers.xray_views import Log, Views

_BATCH = 32
_CLASS_WEIGHTS = (1.5, 1.0, 1.0, 0.7)
"""covid19 has a quarter of the other classes' images; macro-F1 counts it as much."""


def fine_tune(teacher: Teacher, views: Views, passes: float, seed: int, log: Log) -> Teacher:
    """Train what follows the frozen blocks on labelled views; returns the exponential moving average of the weights."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    steps = max(1, int(passes * len(views.labels) / _BATCH))
    rates = [2e-4, 2e-3]
    groups: list[dict[str, Any]] = [{"params": teacher.late_parameters()}, {"params": teacher.head.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.15)
    average = copy.deepcopy(teacher)
    teacher.train()
    total = 0.0
    for step, picked in enumerate(batches(len(views.labels), steps, _BATCH, rng)):
        loss = _loss(teacher, views, picked, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        update_average(average, teacher, step)
        total += loss.item()
        if step % 40 == 39:
            log(f"teacher: step {step + 1} of {steps}, loss {total / 40:.3f}")
            total = 0.0
    return average.eval()


def _loss(teacher: Teacher, views: Views, picked: LabelArray, rng: np.random.Generator) -> Tensor:
    """Smoothed, weighted cross-entropy, on mixtures of early features in half of the batches."""
    early = torch.from_numpy(views.early[picked].astype(np.float32)).contiguous(memory_format=torch.channels_last)
    truth = functional.one_hot(torch.from_numpy(views.labels[picked]), len(CLASSES)).float() * 0.9 + 0.1 / len(CLASSES)
    if rng.random() < 0.5:
        early = early.flip(3)
    if rng.random() < 0.5:
        share, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(picked)))
        early, truth = share * early + (1 - share) * early[other], share * truth + (1 - share) * truth[other]
    _, logits = teacher.late(early)
    return -(truth * torch.tensor(_CLASS_WEIGHTS) * logits.float().log_softmax(-1)).sum(-1).mean()
