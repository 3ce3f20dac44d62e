"""Views of the X-rays with what the teacher's frozen blocks see in each: all that teacher and tower are trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from app.domain import UInt8Array
from app.training.towers.teacher import Teacher
from app.training.towers.views import (
    CLASSES,
    VIEW_SIDE,
    LabelArray,
    XraySet,
    blended_view,
    foreign_view,
    mild_view,
    plain_view,
    strong_view,
)

Log = Callable[[str], None]
Float16Array = npt.NDArray[np.float16]
UNLABELLED = -1
_FOREIGN_SHARE = 0.08
_BATCH = 32


class Kind(IntEnum):
    PLAIN = 0
    MILD = 1
    STRONG = 2
    FOREIGN = 3
    BLENDED = 4


@dataclass(frozen=True, slots=True)
class Changed:
    """Views of each X-ray beside the plain one."""

    mild: int
    strong: int


@dataclass(frozen=True, slots=True)
class Views:
    """images (n, VIEW_SIDE, VIEW_SIDE) uint8, labels (n,) with UNLABELLED for blends, kinds (n,) of Kind, early
    (n, 80, 20, 20) of the teacher's frozen blocks."""

    images: UInt8Array
    labels: LabelArray
    kinds: npt.NDArray[np.int8]
    early: Float16Array

    def of(self, *kinds: Kind) -> LabelArray:
        """Indices of the views of these kinds."""
        return np.flatnonzero(np.isin(self.kinds, kinds))


def make_views(data: XraySet, teacher: Teacher, changed: Changed, seed: int, log: Log) -> Views:
    """Every X-ray as it is and changed, and some pictures that are none."""
    rng = np.random.default_rng(seed)
    images = [plain_view(image) for image in data.images]
    images += [mild_view(image, rng) for _ in range(changed.mild) for image in data.images]
    images += [strong_view(image, rng) for _ in range(changed.strong) for image in data.images]
    photos = tuple(np.asarray(Image.fromarray(photo).convert("L")) for photo in load_sample_images().images)
    foreign = int(len(images) * _FOREIGN_SHARE)
    images += [foreign_view(rng, photos) for _ in range(foreign)]
    xrays = len(data.images)
    counts = (xrays, changed.mild * xrays, changed.strong * xrays, foreign)
    labels = np.r_[np.tile(data.labels, 1 + changed.mild + changed.strong), np.full(foreign, CLASSES.index("other"))]
    return _views(teacher, images, labels, np.repeat(np.arange(len(counts)), counts), log)


def plain_views(data: XraySet, teacher: Teacher, log: Log) -> Views:
    images = [plain_view(image) for image in data.images]
    return _views(teacher, images, data.labels, np.full(len(images), Kind.PLAIN), log)


def mild_views(data: XraySet, teacher: Teacher, seed: int, log: Log) -> Views:
    """One mild view of every X-ray."""
    rng = np.random.default_rng(seed)
    images = [mild_view(image, rng) for image in data.images]
    return _views(teacher, images, data.labels, np.full(len(images), Kind.MILD), log)


def with_blends(views: Views, teacher: Teacher, count: int, seed: int, log: Log) -> Views:
    """The views and `count` blends of two plain or mild ones. A teacher has learned by heart what the X-rays are; what
    it says of a blend is its own judgement, which a tower can learn (Beyer et al. 2022, "A good teacher is patient and
    consistent")."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(views.of(Kind.PLAIN, Kind.MILD), (count, 2))
    images = [blended_view(views.images[first], views.images[second], rng) for first, second in pairs]
    blends = _views(teacher, images, np.full(count, UNLABELLED), np.full(count, Kind.BLENDED), log)
    return Views(
        np.concatenate((views.images, blends.images)),
        np.concatenate((views.labels, blends.labels)),
        np.concatenate((views.kinds, blends.kinds)),
        np.concatenate((views.early, blends.early)),
    )


def _views(teacher: Teacher, images: list[UInt8Array], labels: LabelArray, kinds: LabelArray, log: Log) -> Views:
    stacked = np.stack(images)
    log(f"{len(stacked)} views made")
    return Views(stacked, labels.astype(np.int64), kinds.astype(np.int8), _early_features(teacher, stacked, log))


@torch.no_grad()
def _early_features(teacher: Teacher, images: UInt8Array, log: Log) -> Float16Array:
    teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = []
    for start in range(0, len(images), _BATCH):
        grey = (torch.from_numpy(images[start : start + _BATCH]).float() - 127) / 128
        batch = grey[:, None].expand(-1, 3, VIEW_SIDE, VIEW_SIDE).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(teacher.early(batch).half().numpy())
        if start // _BATCH % 50 == 49:
            log(f"frozen blocks: {start + _BATCH} of {len(images)} views")
    return np.concatenate(parts)
