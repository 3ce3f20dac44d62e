"""Training an adapter: feedback beside a replay sample, held near the parent's answers, stopped early.

Per step: a batch of feedback (weighted cross entropy) and a batch of replay cases (the loss of the base training, and
the Kullback-Leibler divergence from the parent's own distribution: learning without forgetting, Li & Hoiem 2016).
Seeded.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.fusion.afnet import AFNet, AFNetOutput
from app.fusion.tokens import collate
from app.learning.adapter import AdaptedNetwork, LoraOptions
from app.training.fitting import FitOptions, case_loss, drop_sources, score_with
from app.training.tokens import LabelledTokens


@dataclass(frozen=True, slots=True)
class WeightedCase:
    """A feedback case as tokens, and how much of a row it counts."""

    case: LabelledTokens
    weight: float


@dataclass(frozen=True, slots=True)
class TrainingCases:
    """Everything that one training reads. `reference`: cases of the base's kind to watch forgetting on."""

    feedback: tuple[WeightedCase, ...]
    validation: tuple[LabelledTokens, ...]
    replay: tuple[LabelledTokens, ...]
    reference: tuple[LabelledTokens, ...]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Batch sizes in cases; between `min_steps` and `max_steps`, by the number of rows."""

    lora: LoraOptions = field(default_factory=LoraOptions)
    feedback_batch: int = 32
    replay_batch: int = 128
    passes: float = 30.0
    """How often each feedback row is seen at most."""
    min_steps: int = 150
    max_steps: int = 400
    evaluate_every: int = 25
    patience: int = 6
    """Evaluations without a better one before it stops."""
    learning_rate: float = 1e-3
    head_rate: float = 0.3
    """Of the learning rate, for the heads, which are trained whole."""
    weight_decay: float = 0.01
    feedback_loss: float = 1.0
    replay_loss: float = 1.0
    distillation: float = 10.0
    drop_share: float = 0.5
    """Share of feedback cases of which some sources are left out, so that no single source learns the correction."""
    reference_cases: int = 300
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """`validation_loss`: at each evaluation, the first before any step; `best_step`: whose weights these are."""

    adapted: AdaptedNetwork
    network: AFNet
    """Merged: a plain AFNet."""
    steps: int
    best_step: int
    train_loss: float
    validation_loss: tuple[float, ...]


OnStep = Callable[[int, int, dict[str, float]], None]
"""Told (step, of how many, figures) after each step; whatever it raises ends the training."""


def train_adapter(parent: AFNet, cases: TrainingCases, options: TrainingOptions, on_step: OnStep) -> TrainedAdapter:
    """ValueError without feedback or replay cases. `parent` is not changed."""
    if not cases.feedback or not cases.replay:
        raise ValueError("nothing to learn from")
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)  # noqa: S311 - training order
    adapted = AdaptedNetwork(parent, options.lora)
    watcher = _Watcher(adapted, parent, cases, options)
    steps = step_count(len(cases.feedback), options)
    optimiser = torch.optim.AdamW(
        [
            {"params": adapted.updates(), "lr": options.learning_rate},
            {"params": adapted.heads(), "lr": options.learning_rate * options.head_rate},
        ],
        weight_decay=options.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _warm_cosine(step, steps))
    watcher.look(0)
    total, step = 0.0, 0
    for step in range(1, steps + 1):
        adapted.network.train()
        loss = _step_loss(adapted.network, parent, cases, options, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(adapted.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % options.evaluate_every == 0:
            watcher.look(step)
        on_step(step, steps, {"train_loss": total / step, "validation_loss": watcher.losses[-1]})
        if watcher.is_done:
            break
    adapted.restore(watcher.best_state)
    return TrainedAdapter(
        adapted, adapted.merged(), step, watcher.best_step, total / max(1, step), tuple(watcher.losses)
    )


def step_count(rows: int, options: TrainingOptions) -> int:
    wanted = math.ceil(options.passes * rows / options.feedback_batch)
    bounded = min(max(wanted, options.min_steps), options.max_steps)
    return math.ceil(bounded / options.evaluate_every) * options.evaluate_every  # no step that nobody looks at


def _step_loss(
    network: nn.Module, parent: AFNet, cases: TrainingCases, options: TrainingOptions, rng: random.Random
) -> Tensor:
    picked = rng.choices(cases.feedback, k=options.feedback_batch)
    feedback = [_partly_dropped(item.case, options.drop_share, rng) for item in picked]
    replay = [
        _partly_dropped(case, options.drop_share, rng) for case in rng.choices(cases.replay, k=options.replay_batch)
    ]
    output: AFNetOutput = network(collate([case.tokens for case in (*feedback, *replay)], parent.config.source_widths))
    split = len(feedback)
    labels = torch.tensor([case.condition for case in feedback])
    weights = torch.tensor([item.weight for item in picked])
    errors = functional.cross_entropy(output.condition_logits[:split], labels, reduction="none")
    remembered = AFNetOutput(output.condition_logits[split:], output.triage_logits[split:])
    with torch.no_grad():
        before = parent(
            collate([case.tokens for case in replay], parent.config.source_widths)
        ).condition_logits.log_softmax(1)
    drift = functional.kl_div(
        remembered.condition_logits.log_softmax(1), before, reduction="batchmean", log_target=True
    )
    known = case_loss(remembered, replay, FitOptions())
    return (
        options.feedback_loss * (errors * weights).mean() + options.replay_loss * known + options.distillation * drift
    )


class _Watcher:
    """Looks at the validation loss now and then, and keeps the best weights."""

    def __init__(self, adapted: AdaptedNetwork, parent: AFNet, cases: TrainingCases, options: TrainingOptions) -> None:
        self._adapted = adapted
        self._widths = parent.config.source_widths
        self._own = cases.validation or tuple(item.case for item in cases.feedback)
        known = [case for case in cases.reference if case.condition >= 0]
        rng = random.Random(options.seed)  # noqa: S311 - a sample
        self._reference = rng.sample(known, min(options.reference_cases, len(known)))
        self._patience = options.patience
        self.losses: list[float] = []
        self.best_state: dict[str, Tensor] = {}
        self.best_step = 0

    def look(self, step: int) -> None:
        """Mean negative log likelihood of validation feedback and of reference cases, both counting the same."""
        self._adapted.network.eval()
        parts = [self._loss(cases) for cases in (self._own, self._reference) if cases]
        loss = float(np.mean(parts))
        if not self.losses or loss < min(self.losses):
            self.best_state, self.best_step = self._adapted.state(), step
        self.losses.append(loss)

    @property
    def is_done(self) -> bool:
        best = int(np.argmin(self.losses))
        return len(self.losses) - 1 - best >= self._patience

    def _loss(self, cases: Sequence[LabelledTokens]) -> float:
        logits, _ = score_with(self._adapted.network, self._widths, cases)
        labels = torch.tensor([case.condition for case in cases])
        return float(functional.cross_entropy(torch.from_numpy(logits), labels))


def _partly_dropped(case: LabelledTokens, share: float, rng: random.Random) -> LabelledTokens:
    return replace(case, tokens=drop_sources(case.tokens, rng)) if rng.random() < share else case


def _warm_cosine(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
