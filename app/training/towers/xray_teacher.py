"""Views, what the teacher's frozen blocks see in them, and the teacher fine-tuned on that: targets for the tower."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional

from app.domain import UInt8Array
from app.training.towers.optimisation import batches, update_average
from app.training.towers.teacher import Teacher
from app.training.towers.views import CLASSES, VIEW_SIDE, LabelArray, XraySet, foreign_view, plain_view, random_view

Log = Callable[[str], None]
Float16Array = npt.NDArray[np.float16]
BATCH = 32
FOREIGN_SHARE = 0.08
CLASS_WEIGHTS = (1.5, 1.0, 1.0, 0.7)
"""covid19 has a quarter of the other classes' images; macro-F1 counts it as much."""


@dataclass(frozen=True, slots=True)
class Views:
    """images (n, VIEW_SIDE, VIEW_SIDE) uint8, labels (n,), early (n, 80, 20, 20) of the teacher's frozen blocks."""

    images: UInt8Array
    labels: LabelArray
    early: Float16Array


@dataclass(frozen=True, slots=True)
class Lessons:
    """Views (n, VIEW_SIDE, VIEW_SIDE) with labels (n,), and what the teacher says of each: maps (n, components, 10, 10)
    and probabilities (n, classes)."""

    images: UInt8Array
    labels: LabelArray
    maps: Float16Array
    probabilities: npt.NDArray[np.float32]


def make_views(data: XraySet, teacher: Teacher, per_image: int, seed: int, log: Log) -> Views:
    """`per_image` augmented views of every X-ray, the first one plain, and some pictures that are none."""
    rng = np.random.default_rng(seed)
    photos = tuple(np.asarray(Image.fromarray(photo).convert("L")) for photo in load_sample_images().images)
    images = [
        plain_view(image) if repeat == 0 else random_view(image, rng)
        for repeat in range(per_image)
        for image in data.images
    ]
    foreign = int(len(images) * FOREIGN_SHARE)
    images += [foreign_view(rng, photos) for _ in range(foreign)]
    labels = np.r_[np.tile(data.labels, per_image), np.full(foreign, CLASSES.index("other"))]
    stacked = np.stack(images)
    log(f"{len(stacked)} views made")
    return Views(stacked, labels, early_features(teacher, stacked, log))


def plain_views(data: XraySet, teacher: Teacher, log: Log) -> Views:
    stacked = np.stack([plain_view(image) for image in data.images])
    return Views(stacked, data.labels, early_features(teacher, stacked, log))


@torch.no_grad()
def early_features(teacher: Teacher, images: UInt8Array, log: Log) -> Float16Array:
    teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = []
    for start in range(0, len(images), BATCH):
        grey = (torch.from_numpy(images[start : start + BATCH]).float() - 127) / 128
        batch = grey[:, None].expand(-1, 3, VIEW_SIDE, VIEW_SIDE).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(teacher.early(batch).half().numpy())
        if start // BATCH % 50 == 49:
            log(f"frozen blocks: {start + BATCH} of {len(images)} views")
    return np.concatenate(parts)


def fine_tune(teacher: Teacher, views: Views, passes: float, seed: int, log: Log) -> Teacher:
    """Train what follows the frozen blocks; returns the exponential moving average of the weights."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    steps = int(passes * len(views.labels) / BATCH)
    rates = [2e-4, 2e-3]
    groups: list[dict[str, Any]] = [{"params": teacher.late_parameters()}, {"params": teacher.head.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.15)
    average = copy.deepcopy(teacher)
    teacher.train()
    total = 0.0
    for step, picked in enumerate(batches(len(views.labels), steps, BATCH, rng)):
        loss = _teacher_loss(teacher, views, picked, rng)
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


def _teacher_loss(teacher: Teacher, views: Views, picked: LabelArray, rng: np.random.Generator) -> Tensor:
    """Smoothed, weighted cross-entropy, on mixtures of early features in half of the batches."""
    early = torch.from_numpy(views.early[picked].astype(np.float32)).contiguous(memory_format=torch.channels_last)
    truth = functional.one_hot(torch.from_numpy(views.labels[picked]), len(CLASSES)).float() * 0.9 + 0.1 / len(CLASSES)
    if rng.random() < 0.5:
        early = early.flip(3)
    if rng.random() < 0.5:
        share, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(picked)))
        early, truth = share * early + (1 - share) * early[other], share * truth + (1 - share) * truth[other]
    _, logits = teacher.late(early)
    return -(truth * torch.tensor(CLASS_WEIGHTS) * logits.float().log_softmax(-1)).sum(-1).mean()


@dataclass(frozen=True, slots=True)
class LocalBasis:
    """What the tower learns of the teacher's local features: directions (components, FEATURES), mean (FEATURES,)."""

    directions: Tensor
    mean: Tensor


@torch.no_grad()
def local_basis(teacher: Teacher, views: Views, components: int, seed: int) -> LocalBasis:
    """The main directions, half whitened: the tower should spend itself on what varies. Mean variance is 1."""
    picked = np.random.default_rng(seed).permutation(len(views.labels))[:256]
    sample = torch.from_numpy(views.early[picked].astype(np.float32)).contiguous(memory_format=torch.channels_last)
    maps, _ = teacher.late(sample)
    local = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    variances, directions = torch.linalg.eigh(torch.cov(local.T))
    kept, spread = directions[:, -components:].T, variances[-components:].clamp(min=1e-8).sqrt()
    return LocalBasis(kept / (spread * spread.mean()).sqrt()[:, None], local.mean(0))


@torch.no_grad()
def teach(teacher: Teacher, views: Views, basis: LocalBasis) -> Lessons:
    """The teacher's maps in the basis, and its class probabilities."""
    maps, probabilities = [], []
    for start in range(0, len(views.labels), BATCH):
        early = torch.from_numpy(views.early[start : start + BATCH].astype(np.float32))
        full, logits = teacher.late(early.contiguous(memory_format=torch.channels_last))
        centred = full - basis.mean[:, None, None]
        maps.append(torch.einsum("bfhw,cf->bchw", centred, basis.directions).half().numpy())
        probabilities.append(logits.softmax(-1).numpy())
    return Lessons(views.images, views.labels, np.concatenate(maps), np.concatenate(probabilities))
