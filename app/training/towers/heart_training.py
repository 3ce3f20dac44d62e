"""The audio tower learns heart sounds from augmented log-mel clips."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.domain import FloatArray
from app.training.towers.audio_batch import AudioBatch
from app.training.towers.heart_clips import HEART_CLASSES, LabelArray, MelSet
from app.training.towers.optimisation import batches, parameter_groups, update_average, warmup_cosine

_MEL_FLOOR_BELOW_PEAK = 2.0
"""The front end keeps 8 decades below the loudest value and divides by 4."""
_DECIBEL = 0.025
"""One decibel of gain on the front end's scale: (log10 + 4) / 4 of a power."""


@dataclass(frozen=True, slots=True)
class HeartOptions:
    passes: float
    batch: int = 32
    rate: float = 1.0e-3
    weight_decay: float = 0.05
    seed: int = 0


class HeartStudent(nn.Module):
    """The tower with the class head that only training needs."""

    def __init__(self, tower: AudioBatch) -> None:
        super().__init__()
        self.tower = tower
        self.classes = nn.Linear(tower.spec.out_hidden_size, len(HEART_CLASSES))

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, bins, frames) -> logits (batch, classes) of the mean token."""
        logits: Tensor = self.classes(self.tower(mel).mean(1))
        return logits


def train_heart(student: HeartStudent, data: MelSet, options: HeartOptions, log: Callable[[str], None]) -> HeartStudent:
    """Train and return the exponential moving average."""
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    steps = int(options.passes * len(data.labels) / options.batch)
    optimizer = torch.optim.AdamW(parameter_groups(student, options.weight_decay), lr=options.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps))
    average = copy.deepcopy(student)
    student.train()
    every, total = max(1, steps // 25), 0.0
    for step, picked in enumerate(batches(len(data.labels), steps, options.batch, rng)):
        loss = _loss(student, data, picked, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        update_average(average, student, step, limit=0.998)
        total += loss.item()
        if step % every == every - 1:
            log(f"audio: step {step + 1} of {steps}, loss {total / every:.3f}")
            total = 0.0
    return average.eval()


def _loss(student: HeartStudent, data: MelSet, picked: LabelArray, rng: np.random.Generator) -> Tensor:
    """Smoothed cross-entropy; in part of the batches clips are mixed."""
    frames = int(rng.integers(110, 301))
    mel = torch.from_numpy(np.stack([_cut(data.mels[index], frames, rng) for index in picked]))
    truth = functional.one_hot(torch.from_numpy(data.labels[picked]), len(HEART_CLASSES)).float()
    truth = truth * 0.9 + 0.1 / len(HEART_CLASSES)
    if rng.random() < 0.4:
        share, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(picked)))
        mel, truth = share * mel + (1 - share) * mel[other], share * truth + (1 - share) * truth[other]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = student(mel)
    per_clip: Tensor = -(truth * logits.float().log_softmax(-1)).sum(-1)
    return per_clip.mean()


def _cut(mel: FloatArray, frames: int, rng: np.random.Generator) -> FloatArray:
    """A random stretch (bins, frames), repeated where the clip is shorter, at another gain, with bands hidden."""
    start = int(rng.integers(0, max(1, mel.shape[1] - frames + 1)))
    cut = np.resize(mel[:, start : start + frames].T, (frames, len(mel))).T.copy()
    cut += _DECIBEL * rng.uniform(-12, 6)
    floor = cut.max() - _MEL_FLOOR_BELOW_PEAK
    for axis, widest in ((0, 14), (0, 14), (1, 24), (1, 24)):
        if rng.random() < 0.5:
            width = int(rng.integers(1, widest))
            at = int(rng.integers(0, cut.shape[axis] - width))
            cut[(slice(at, at + width), slice(None)) if axis == 0 else (slice(None), slice(at, at + width))] = floor
    return np.asarray(np.maximum(cut, floor), np.float32)


@torch.no_grad()
def heart_predictions(student: HeartStudent, data: MelSet) -> LabelArray:
    """Most probable class of each whole clip, `other` left out."""
    logits = [student(torch.from_numpy(mel)[None])[0, :-1] for mel in data.mels]
    return torch.stack(logits).argmax(1).numpy()
