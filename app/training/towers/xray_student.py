"""The vision tower learns the teacher's local features and classes on augmented views (distillation)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.training.towers.optimisation import batches, parameter_groups, update_average, warmup_cosine
from app.training.towers.views import CLASSES, LabelArray
from app.training.towers.vision_batch import VisionBatch, normalise
from app.training.towers.xray_teacher import Lessons, Log, Views

CLASS_WEIGHTS = (2.5, 1.0, 1.0, 0.7)
"""More for covid19 than the teacher got, which takes some of it for other pneumonia."""
UNIT = 28
"""Pixels of one output token's side."""
_GRIDS = ((10, 10), (10, 10), (10, 10), (10, 9), (9, 10), (11, 9), (9, 11))
"""Tokens (down, across) of a batch's images: what the product makes of pictures near the square."""


@dataclass(frozen=True, slots=True)
class StudentOptions:
    passes: float
    batch: int = 32
    rate: float = 4e-4
    head_rate: float = 3e-3
    weight_decay: float = 0.05
    map_weight: float = 0.5
    seed: int = 0


class VisionStudent(nn.Module):
    """The tower with the two heads that only training needs."""

    def __init__(self, tower: VisionBatch, components: int) -> None:
        super().__init__()
        width = tower.spec.out_hidden_size
        self.tower = tower
        self.maps = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, components))
        self.classes = nn.Linear(width, len(CLASSES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images -> local features (batch, tokens, components), mean token's logits (batch, classes)."""
        tokens = self.tower(images)
        return self.maps(tokens), self.classes(tokens.mean(1))


def distil(student: VisionStudent, lessons: Lessons, options: StudentOptions, log: Log) -> VisionStudent:
    """Train and return the exponential moving average. Prints the mean losses about every fiftieth of the way."""
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    steps = max(1, int(options.passes * len(lessons.labels) / options.batch))
    groups = parameter_groups(student.tower, options.weight_decay)
    groups += [{"params": [*student.maps.parameters(), *student.classes.parameters()], "lr": options.head_rate}]
    optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps))
    average = copy.deepcopy(student)
    student.train()
    every, sums = max(1, steps // 50), np.zeros(2)
    for step, picked in enumerate(batches(len(lessons.labels), steps, options.batch, rng)):
        grid = _GRIDS[int(rng.integers(len(_GRIDS)))]
        map_loss, class_loss = _losses(student, lessons, picked, grid, rng)
        optimizer.zero_grad()
        (options.map_weight * map_loss + class_loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        update_average(average, student, step, limit=0.998)
        sums += (map_loss.item(), class_loss.item())
        if step % every == every - 1:
            log(f"vision: step {step + 1} of {steps}, maps {sums[0] / every:.3f}, classes {sums[1] / every:.3f}")
            sums[:] = 0
    return average.eval()


def _losses(
    student: VisionStudent,
    lessons: Lessons,
    picked: LabelArray,
    grid: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean squared error of the local features and cross-entropy against teacher and label, half each."""
    images = resized(torch.from_numpy(lessons.images[picked]).float(), grid)
    maps = torch.from_numpy(lessons.maps[picked].astype(np.float32))
    truth = functional.one_hot(torch.from_numpy(lessons.labels[picked]), len(CLASSES)).float() * 0.95 + 0.05 / len(
        CLASSES
    )
    truth = (truth + torch.from_numpy(lessons.probabilities[picked])) / 2
    if rng.random() < 0.5:
        images, maps = images.flip(2), maps.flip(3)
    images = normalise(_tinted(images, rng))
    mixed = rng.random() < 0.25
    if mixed:
        share, other = float(rng.beta(0.5, 0.5)), torch.from_numpy(rng.permutation(len(picked)))
        images, truth = share * images + (1 - share) * images[other], share * truth + (1 - share) * truth[other]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        local, logits = student(images)
    wanted = functional.interpolate(maps, size=grid, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    map_loss = local.float().sum() * 0 if mixed else functional.mse_loss(local.float(), wanted)
    weighted = truth * torch.tensor(CLASS_WEIGHTS) * logits.float().log_softmax(-1)
    return map_loss, -weighted.sum(-1).mean()


def resized(grey: Tensor, grid: tuple[int, int]) -> Tensor:
    """(batch, side, side) in 0..255 -> (batch, grid[0] * 28, grid[1] * 28), bicubic as in the product."""
    size = (grid[0] * UNIT, grid[1] * UNIT)
    return functional.interpolate(grey[:, None], size=size, mode="bicubic", antialias=True).clamp(0, 255)[:, 0]


def _tinted(grey: Tensor, rng: np.random.Generator) -> Tensor:
    """(batch, height, width) -> (batch, 3, height, width): brightness, contrast and a slight tint, batch by batch."""
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (len(grey), 3, 1, 1)) * rng.uniform(0.85, 1.15)).float()
    offset = torch.from_numpy(rng.uniform(-12, 12, (len(grey), 1, 1, 1))).float()
    if rng.random() < 0.5:
        gain = gain.mean(1, keepdim=True)
    return (grey[:, None] * gain + offset).expand(-1, 3, -1, -1).clamp(0, 255)


@torch.no_grad()
def class_predictions(student: VisionStudent, views: Views, grid: tuple[int, int], batch: int = 32) -> LabelArray:
    """Most probable class of each view, `other` left out."""
    parts = []
    for start in range(0, len(views.labels), batch):
        images = resized(torch.from_numpy(views.images[start : start + batch]).float(), grid)
        _, logits = student(normalise(images[:, None].expand(-1, 3, -1, -1)))
        parts.append(logits[:, :-1].argmax(1).numpy())
    return np.concatenate(parts)
