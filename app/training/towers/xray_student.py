"""The vision tower learns what a teacher sees in augmented views: local features, whole-picture summary, verdict."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.training.towers.optimisation import parameter_groups, update_average, warmup_cosine
from app.training.towers.views import CLASSES, LabelArray
from app.training.towers.vision_batch import VisionBatch, normalise
from app.training.towers.xray_lessons import GRID, Lessons
from app.training.towers.xray_views import Kind, Log, Views

UNIT = 28
"""Pixels of one output token's side."""
_GRIDS = (*((10, 10),) * 5, (10, 9), (9, 10), (11, 9), (9, 11))
"""Tokens (down, across) of a batch's images: what the product makes of pictures near the square."""
_FOREIGN_WEIGHT = 0.1
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Round:
    """One round of distillation. `schedule`: steps after which the learning rate would be let down; `steps` may end
    before. `batch`: views of each kind in a batch. `verdict_weight`: of one logit against one part of the summary."""

    steps: int
    schedule: int
    batch: Mapping[Kind, int]
    verdict_weight: float
    map_weight: float = 0.5
    rate: float = 6e-4
    head_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 7


class VisionStudent(nn.Module):
    """The tower with the heads that only training needs; mean and spread make logits of a verdict."""

    verdict_mean: Tensor
    verdict_spread: Tensor

    def __init__(self, tower: VisionBatch, components: int, summary: int, verdicts: int) -> None:
        super().__init__()
        width = tower.spec.out_hidden_size
        self.tower = tower
        self.maps = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, components))
        self.summary = nn.Linear(width, summary)
        self.verdict = nn.Linear(width, verdicts)
        self.foreign = nn.Linear(width, 2)
        self.register_buffer("verdict_mean", torch.zeros(verdicts))
        self.register_buffer("verdict_spread", torch.ones(verdicts))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised images -> local features (batch, tokens, components); of the mean token: summary, verdict, and
        logits of whether it is an X-ray (batch, 2)."""
        tokens = self.tower(images)
        mean = tokens.mean(1)
        return self.maps(tokens), self.summary(mean), self.verdict(mean), self.foreign(mean)


@dataclass(frozen=True, slots=True)
class _Losses:
    maps: Tensor
    summary: Tensor
    verdict: Tensor
    foreign: Tensor


def new_student(tower: VisionBatch, lessons: Lessons) -> VisionStudent:
    """The tower with untrained heads for these lessons."""
    sizes = lessons.maps.shape[1], lessons.summaries.shape[1], lessons.verdicts.targets.shape[1]
    student = VisionStudent(tower, *sizes)
    student.verdict_mean = torch.from_numpy(lessons.verdicts.mean)
    student.verdict_spread = torch.from_numpy(lessons.verdicts.spread)
    return student


def distil(student: VisionStudent, views: Views, lessons: Lessons, plan: Round, log: Log) -> VisionStudent:
    """Train and return the exponential moving average. Prints the mean losses about every fiftieth of the way."""
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    heads = [module for name, module in student.named_children() if name != "tower"]
    groups = parameter_groups(student.tower, plan.weight_decay)
    groups += [{"params": [weight for head in heads for weight in head.parameters()], "lr": plan.head_rate}]
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, plan.schedule))
    average = copy.deepcopy(student)
    student.train()
    pools = [(views.of(kind), count) for kind, count in plan.batch.items()]
    on_verdicts = plan.verdict_weight * student.verdict.out_features
    share = on_verdicts / (student.summary.out_features + on_verdicts)
    every, sums = max(1, plan.steps // 50), np.zeros(4)
    for step in range(plan.steps):
        picked = np.concatenate([rng.choice(pool, count) for pool, count in pools])
        losses = _losses(student, views, lessons, picked, rng)
        whole = (1 - share) * losses.summary + share * losses.verdict
        optimizer.zero_grad()
        loss = plan.map_weight * losses.maps + whole + _FOREIGN_WEIGHT * losses.foreign
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        update_average(average, student, step, limit=0.998)
        sums += (losses.maps.item(), losses.summary.item(), losses.verdict.item(), losses.foreign.item())
        if step % every == every - 1:
            maps, summary, verdict, foreign = sums / every
            log(
                f"vision: step {step + 1} of {plan.steps}, maps {maps:.3f}, summary {summary:.3f}, "
                f"verdict {verdict:.3f}, foreign {foreign:.3f}"
            )
            sums[:] = 0
    return average.eval()


def _losses(
    student: VisionStudent, views: Views, lessons: Lessons, picked: LabelArray, rng: np.random.Generator
) -> _Losses:
    """Mean squared errors against the lessons, of whole pictures for X-rays alone; cross-entropy of foreign."""
    grid = _GRIDS[int(rng.integers(len(_GRIDS)))]
    images = resized(torch.from_numpy(views.images[picked]).float(), grid)
    maps = torch.from_numpy(lessons.maps[picked].astype(np.float32))
    foreign = torch.from_numpy(views.kinds[picked] == Kind.FOREIGN)
    if rng.random() < 0.5:
        images, maps = images.flip(2), maps.flip(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        local, summary, verdict, logits = student(normalise(images[:, None].expand(-1, 3, -1, -1)))
    wanted = functional.interpolate(maps, size=grid, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    targets = [torch.from_numpy(values[picked]) for values in (lessons.summaries, lessons.verdicts.targets)]
    return _Losses(
        functional.mse_loss(local.float(), wanted),
        functional.mse_loss(summary.float()[~foreign], targets[0][~foreign]),
        functional.mse_loss(verdict.float()[~foreign], targets[1][~foreign]),
        functional.cross_entropy(logits.float(), foreign.long()),
    )


def resized(grey: Tensor, grid: tuple[int, int]) -> Tensor:
    """(batch, side, side) in 0..255 -> (batch, grid[0] * 28, grid[1] * 28), bicubic as in the product."""
    size = (grid[0] * UNIT, grid[1] * UNIT)
    return functional.interpolate(grey[:, None], size=size, mode="bicubic", antialias=True).clamp(0, 255)[:, 0]


@torch.no_grad()
def class_predictions(student: VisionStudent, views: Views) -> LabelArray:
    """Most probable class of each view by the head that learned the verdicts, `other` left out."""
    parts = []
    for start in range(0, len(views.labels), _BATCH):
        images = resized(torch.from_numpy(views.images[start : start + _BATCH]).float(), (GRID, GRID))
        _, _, verdict, _ = student(normalise(images[:, None].expand(-1, 3, -1, -1)))
        logits = verdict * student.verdict_spread + student.verdict_mean
        parts.append(logits[:, : CLASSES.index("other")].argmax(1).numpy())
    return np.concatenate(parts)
