"""Fitting AFNet on labelled tokens: composed cases, modality dropout, both heads, an averaged copy of the weights."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import trange

from app.domain import Source
from app.fusion.afnet import AFNet, AFNetConfig, AFNetOutput
from app.fusion.tokens import EvidenceToken, collate
from app.training.tokens import GRAVE, MILD, OUTSIDE, UNKNOWN, LabelledTokens, embedding_vectors

_DROP: Mapping[str, float] = {
    Source.OMNI_TEXT.value: 0.35,
    Source.MEDICAL_TEXT.value: 0.35,
    Source.FINDINGS.value: 0.1,
    Source.VITALS.value: 0.4,
}
_MEDIA = {Source.OMNI_IMAGE.value, Source.OMNI_AUDIO.value, Source.OMNI_VIDEO.value}


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Optimiser settings; `steps` batches of `batch_size` composed cases."""

    steps: int = 2500
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    triage_loss: float = 0.5
    outside_loss: float = 1.0
    """Weight of a case outside of the catalogue beside one with a known condition."""
    severity_loss: float = 0.5
    """The same for a case of which only the severity is known."""
    pair_share: float = 0.35
    """Share of media cases that are given a text of the same (or, for a normal picture, of another) condition."""
    seed: int = 0


class Composer:
    """Draws training cases: group by group with given weights, media paired with texts, sources dropped."""

    def __init__(
        self,
        pools: Mapping[str, Sequence[LabelledTokens]],
        weights: Mapping[str, float],
        normal: int,
        pair_share: float,
    ) -> None:
        self._pools = {name: pool for name, pool in pools.items() if pool}
        self._names = list(self._pools)
        self._weights = [weights[name] for name in self._names]
        self._normal = normal
        self._pair_share = pair_share
        self._texts: dict[int, list[LabelledTokens]] = defaultdict(list)
        self._media_conditions: set[int] = set()
        for pool in self._pools.values():
            for item in pool:
                if _is_media(item):
                    self._media_conditions.add(item.condition)
                elif item.condition >= 0:
                    self._texts[item.condition].append(item)
        self._with_text = list(self._texts)
        self._other = [c for c in self._texts if c not in self._media_conditions]

    def draw(self, rng: random.Random) -> LabelledTokens:
        item = rng.choice(self._pools[rng.choices(self._names, self._weights)[0]])
        if _is_media(item) and rng.random() < self._pair_share:
            item = self._pair(item, rng)
        return replace(item, tokens=drop_sources(item.tokens, rng))

    def _pair(self, media: LabelledTokens, rng: random.Random) -> LabelledTokens:
        """X-ray of pneumonia + text of pneumonia; a normal X-ray or sound + a text of something it cannot show.

        What is no medical picture or sound + any text: then the text decides.
        """
        condition = media.condition
        if condition == OUTSIDE:
            condition = rng.choice(self._with_text)
        elif condition == self._normal:
            condition = rng.choice(self._other)
        elif condition not in self._texts:
            return media
        text = rng.choice(self._texts[condition])
        return LabelledTokens(
            media.group, media.tokens + text.tokens, condition, text.triage, text.triage_weight, text.language
        )


def fit(
    composer: Composer,
    config: AFNetConfig,
    statistics: Mapping[str, tuple[Tensor, Tensor]],
    options: FitOptions,
    severities: Sequence[int] = (),
) -> AFNet:
    """Train from scratch; returns the exponentially averaged network in eval mode. Reproducible from the seed.

    `severities`: of the conditions, 1 to 5; needed where cases are labelled with a severity only.
    """
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)  # noqa: S311 - training order
    network = AFNet(config)
    for source, (mean, std) in statistics.items():
        network.set_statistics(source, mean, std)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _warm_cosine(step, options.steps))
    network.train()
    with trange(options.steps, desc="AFNet", mininterval=2.0) as bar:
        for step in bar:
            cases = [composer.draw(rng) for _ in range(options.batch_size)]
            output = network(collate([case.tokens for case in cases], config.source_widths))
            loss = case_loss(output, cases, options, severities)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
            if step % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}")
    result = averaged.module
    assert isinstance(result, AFNet)  # noqa: S101 - narrows the type for mypy
    return result.eval()


def case_loss(
    output: AFNetOutput, cases: Sequence[LabelledTokens], options: FitOptions, severities: Sequence[int] = ()
) -> Tensor:
    """Cross entropy over known conditions plus weighted cumulative binary cross entropy over known triage levels.

    A case outside of the catalogue should speak for no condition: its target is the uniform distribution (outlier
    exposure, Hendrycks et al., ICLR 2019). One of which only the severity is known should speak for conditions of that
    severity: the loss is the negative log of all their probability.
    """
    conditions = torch.tensor([case.condition for case in cases])
    loss = functional.cross_entropy(
        output.condition_logits,
        conditions.clamp_min(UNKNOWN),
        ignore_index=UNKNOWN,
        label_smoothing=options.label_smoothing,
        reduction="sum",
    ) / max(1, int((conditions >= 0).sum()))
    outside = conditions == OUTSIDE
    if outside.any():
        uniform = -functional.log_softmax(output.condition_logits[outside], dim=1).mean(1)
        loss = loss + options.outside_loss * uniform.sum() / len(cases)
    for label, members in _by_severity(severities).items():
        rows = conditions == label
        if rows.any() and members.any():
            spoken = functional.log_softmax(output.condition_logits[rows], dim=1)[:, members].logsumexp(1)
            loss = loss - options.severity_loss * spoken.sum() / len(cases)
    triage = torch.tensor([case.triage for case in cases])
    weights = torch.tensor([case.triage_weight if case.triage else 0.0 for case in cases])
    if weights.sum() > 0:
        targets = (triage[:, None] <= torch.arange(1, 5)[None, :]).float()
        per_case = functional.binary_cross_entropy_with_logits(output.triage_logits, targets, reduction="none").mean(1)
        loss = loss + options.triage_loss * (per_case * weights).sum() / weights.sum()
    return loss


def _by_severity(severities: Sequence[int]) -> dict[int, Tensor]:
    """MILD, GRAVE -> which conditions (conditions,) bool are of that severity."""
    if not severities:
        return {}
    degrees = torch.tensor(severities)
    return {MILD: degrees <= 2, GRAVE: degrees >= 4}


def score(network: AFNet, cases: Sequence[LabelledTokens], batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Condition logits (n, conditions) and cumulative triage logits (n, 4) of labelled cases."""
    return score_with(network, network.config.source_widths, cases, batch_size)


def score_with(
    network: nn.Module, widths: Mapping[str, int], cases: Sequence[LabelledTokens], batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """`score` of whatever answers as an AFNet of these source widths does."""
    conditions, triage = [], []
    with torch.inference_mode():
        for start in range(0, len(cases), batch_size):
            chunk = [case.tokens for case in cases[start : start + batch_size]]
            output = network(collate(chunk, widths))
            conditions.append(output.condition_logits.numpy())
            triage.append(output.triage_logits.numpy())
    return np.concatenate(conditions), np.concatenate(triage)


def source_statistics(cases: Sequence[LabelledTokens]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and standard deviation of every embedding source; findings and vitals are already scaled."""
    return {
        source: (torch.from_numpy(rows.mean(0)), torch.from_numpy(rows.std(0)))
        for source, rows in embedding_vectors(cases).items()
    }


def _is_media(item: LabelledTokens) -> bool:
    return any(token.source in _MEDIA for token in item.tokens)


def drop_sources(tokens: tuple[EvidenceToken, ...], rng: random.Random) -> tuple[EvidenceToken, ...]:
    dropped = {source for source, share in _DROP.items() if rng.random() < share}
    kept = tuple(token for token in tokens if token.source not in dropped)
    return kept if any(token.source != Source.VITALS.value for token in kept) else tokens


def _warm_cosine(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    return step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
