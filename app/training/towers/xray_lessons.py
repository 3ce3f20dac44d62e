"""What the vision tower is to learn of each view: local features, a summary of the whole picture, and a verdict.

The tower never sees a label: it learns functions of the picture that the teacher computes, on blends of X-rays too,
which nobody has labelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from app.domain import FloatArray
from app.training.towers.teacher import Teacher
from app.training.towers.views import CLASSES, LabelArray
from app.training.towers.xray_views import Float16Array, Kind, Views

GRID = 10
"""Cells of a map's side, each as large as one of the tower's tokens."""
HEAD_LEVEL = 3
_BATCH = 64
_SAMPLE = 400
"""Views from which the local features' main directions are taken."""
_SUMMARY_LIMIT = 5.0
_VERDICT_LIMIT = 6.0
_PROBE_PENALTY = 1e-3
_PROBE_WEIGHTS = (1.5, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Logits of the classes: targets (n, classes), standardised by mean and spread (classes,)."""

    targets: FloatArray
    mean: FloatArray
    spread: FloatArray


@dataclass(frozen=True, slots=True)
class Lessons:
    """For each of n views: maps (n, components, GRID, GRID), summaries (n, summary) of variance 1, and verdicts."""

    maps: Float16Array
    summaries: FloatArray
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a teacher makes of n views: a map (n, channels, GRID, GRID) per wanted level; means and deviations over each
    picture of all wanted levels (n, sum of channels); logits (n, classes)."""

    maps: list[Float16Array]
    means: FloatArray
    deviations: FloatArray
    logits: FloatArray


def general_lessons(teacher: Teacher, views: Views, components: tuple[int, ...], summary: int) -> Lessons:
    """What an ImageNet network sees in the views, all levels of it, and what a linear probe reads from that.
    `components`: directions kept of each level; their sum is the maps' width."""
    seen = _see(teacher, views, tuple(range(len(components))))
    near = views.of(Kind.PLAIN, Kind.MILD)
    maps = _reduced_maps(seen.maps, components, near)
    summaries = _whitened(np.concatenate((seen.means, seen.deviations), 1), summary, near)
    probe = LogisticRegression(
        C=_PROBE_PENALTY, max_iter=300, class_weight=dict(enumerate(_PROBE_WEIGHTS)), random_state=0
    )
    inputs = _standardised(seen.means, near)
    probe.fit(inputs[near], views.labels[near])
    values = np.asarray(probe.decision_function(inputs), np.float32)
    return Lessons(maps, summaries, _verdicts(values, near))


def tuned_lessons(general: Teacher, tuned: Teacher, views: Views, components: tuple[int, ...], summary: int) -> Lessons:
    """The ImageNet network's lower levels beside the head's level, summary and logits of the fine-tuned one."""
    near = views.of(Kind.PLAIN, Kind.MILD)
    lower = _reduced_maps(_see(general, views, tuple(range(HEAD_LEVEL))).maps, components[:HEAD_LEVEL], near)
    seen = _see(tuned, views, (HEAD_LEVEL,))
    upper = _reduced_maps(seen.maps, components[HEAD_LEVEL:], near)
    return Lessons(
        np.concatenate((lower, upper), 1), _whitened(seen.means, summary, near), _verdicts(seen.logits, near)
    )


def predicted_classes(teacher: Teacher, views: Views) -> LabelArray:
    """The fine-tuned teacher's most probable class of each view, `other` left out."""
    logits = _see(teacher, views, (HEAD_LEVEL,)).logits
    return np.asarray(logits[:, : CLASSES.index("other")].argmax(1), np.int64)


@torch.no_grad()
def _see(teacher: Teacher, views: Views, wanted: tuple[int, ...]) -> _Seen:
    maps: list[list[Float16Array]] = [[] for _ in wanted]
    means, deviations, logits = [], [], []
    for start in range(0, len(views.labels), _BATCH):
        early = torch.from_numpy(views.early[start : start + _BATCH].astype(np.float32))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels, _ = teacher.late(early.contiguous(memory_format=torch.channels_last))
        kept = [levels[level].float() for level in wanted]
        for parts, level in zip(maps, kept, strict=True):
            parts.append(functional.adaptive_avg_pool2d(level, GRID).half().numpy())
        means.append(torch.cat([level.mean((2, 3)) for level in kept], 1).numpy())
        deviations.append(torch.cat([level.std((2, 3)) for level in kept], 1).numpy())
        logits.append(teacher.head(levels[-1].float().mean((2, 3))).numpy())  # finer than those of bfloat16
    return _Seen(
        [np.concatenate(parts) for parts in maps],
        np.concatenate(means),
        np.concatenate(deviations),
        np.concatenate(logits),
    )


def _reduced_maps(maps: list[Float16Array], components: tuple[int, ...], near: LabelArray) -> Float16Array:
    """Each level's main local directions, half whitened: the tower should spend itself on what varies. Mean variance
    of a level is 1."""
    sample = np.random.default_rng(0).permutation(near)[:_SAMPLE]
    return np.concatenate([_reduced(level, kept, sample) for level, kept in zip(maps, components, strict=True)], 1)


def _reduced(level: Float16Array, components: int, sample: LabelArray) -> Float16Array:
    channels = level.shape[1]
    local = level[sample].astype(np.float32).transpose(0, 2, 3, 1).reshape(-1, channels)
    mean = local.mean(0)
    variances, directions = np.linalg.eigh(np.cov(local.T))
    spread = np.sqrt(np.clip(variances[-components:], 1e-8, None))
    basis = (directions[:, -components:].T / np.sqrt(spread * spread.mean())[:, None]).astype(np.float32)
    parts = []
    for start in range(0, len(level), _BATCH):
        cells = level[start : start + _BATCH].reshape(-1, channels, GRID * GRID).astype(np.float32)
        parts.append((basis @ (cells - mean[:, None])).reshape(-1, components, GRID, GRID).astype(np.float16))
    return np.concatenate(parts)


def _moments(values: FloatArray, near: LabelArray) -> tuple[FloatArray, FloatArray]:
    return values[near].mean(0), values[near].std(0) + 1e-6


def _standardised(values: FloatArray, near: LabelArray) -> FloatArray:
    mean, spread = _moments(values, near)
    return np.asarray((values - mean) / spread, np.float32)


def _whitened(values: FloatArray, components: int, near: LabelArray) -> FloatArray:
    """The main directions over whole pictures, each of variance 1 among plain and mild views."""
    inputs = _standardised(values, near)
    _, scales, directions = np.linalg.svd(inputs[near], full_matrices=False)
    basis = directions[:components].T / (np.maximum(scales[:components], 1e-6) / np.sqrt(len(near)))
    return np.asarray(np.clip(inputs @ basis, -_SUMMARY_LIMIT, _SUMMARY_LIMIT), np.float32)


def _verdicts(logits: FloatArray, near: LabelArray) -> Verdicts:
    mean, spread = _moments(logits, near)
    return Verdicts(np.clip((logits - mean) / spread, -_VERDICT_LIMIT, _VERDICT_LIMIT), mean, spread)
