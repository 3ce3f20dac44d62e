"""Quantised decoders against fp32 on labelled texts: how far embeddings move, what a trained head loses, what is won.

Every head is fitted on fp32 embeddings of the train texts and then applied unchanged to the embeddings of each scheme.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from app.domain import FloatArray
from app.encoders.cache import EmbeddingCache
from app.evaluation.quantization_depths import SCHEMES, SHARES, DepthEncoder, Scheme, convert_whole, cut_layers
from app.evaluation.quantization_heads import Labels, fit_afnet, fit_linear
from app.training.fitting import FitOptions
from app.training.samples import Sample

Embedded = dict[int, FloatArray]
"""Cut -> embeddings (n, hidden)."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Labelled texts to fit on and to measure on."""

    train: Sequence[Sample]
    dev: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Options:
    """`shares` of the depth are compared, `schemes[0]` is the reference, `fit` is AFNet's; `timed_texts` dev texts are
    timed `rounds` times each."""

    shares: Sequence[float] = SHARES
    schemes: Sequence[Scheme] = SCHEMES
    fit: FitOptions = field(default_factory=lambda: FitOptions(steps=600))
    timed_texts: int = 12
    rounds: int = 3
    seed: int = 0


# --------------------------------------------------------------------------- figures
def cosines(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, width) twice -> (n,) cosine of each pair of rows."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / norms)


def accuracy_by_group(groups: Sequence[str], truth: Labels, predicted: Labels) -> dict[str, float]:
    """Share of right answers in each group, in order of appearance."""
    which = np.array(groups)
    return {
        group: float((truth[which == group] == predicted[which == group]).mean()) for group in dict.fromkeys(groups)
    }


def balanced(samples: Sequence[Sample], per_condition: int, seed: int) -> list[Sample]:
    """At most `per_condition` samples of each condition, drawn reproducibly."""
    by_condition: dict[str | None, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_condition[sample.condition_id].append(sample)
    rng = random.Random(seed)  # noqa: S311 - a subset, not a secret
    return [one for group in by_condition.values() for one in rng.sample(group, min(per_condition, len(group)))]


# --------------------------------------------------------------------------- one checkpoint
def compare(
    checkpoint: Path, texts: Texts, options: Options, cache: EmbeddingCache, work: Path, *, prompt_prefix: str = ""
) -> dict[str, Any]:
    """The report of one checkpoint, which is converted into `work`. ArtifactError for one that cannot be used."""
    encoders = {}
    for number, scheme in enumerate(options.schemes):
        folder = work / str(number)
        manifest = convert_whole(checkpoint, scheme, folder, prompt_prefix)
        cuts = cut_layers(manifest.decoder.layers, options.shares)
        encoders[scheme.name] = DepthEncoder(folder, cuts, cache)
    reference = encoders[options.schemes[0].name]
    trained = _embed(reference, texts.train, f"train, {options.schemes[0].name}")
    dev = {name: _embed(encoder, texts.dev, f"dev, {name}") for name, encoder in encoders.items()}
    timed = random.Random(options.seed).sample(list(texts.dev), options.timed_texts)  # noqa: S311
    timed_texts = [str(sample.text) for sample in timed]
    times = time_texts(encoders, timed_texts, options.rounds)
    rows = []
    for cut in reference.cuts:
        at_cut = {name: vectors[cut] for name, vectors in dev.items()}
        for row in _quality(trained[cut], at_cut, texts, options.fit):
            name = row["scheme"]
            rows.append({"cut": cut, **row, "ms": times[name][cut], "weight_bytes": encoders[name].weight_bytes(cut)})
    return {
        "checkpoint": checkpoint.name,
        "architecture": reference.manifest.architecture,
        "layers": reference.manifest.decoder.layers,
        "hidden_size": reference.manifest.decoder.hidden_size,
        "timed_tokens": float(np.mean([len(reference.tokens(text)) for text in timed_texts])),
        "rows": rows,
    }


def time_texts(encoders: Mapping[str, DepthEncoder], texts: Sequence[str], rounds: int) -> dict[str, dict[int, float]]:
    """Scheme -> cut -> milliseconds a text: the mean over texts of the median over rounds.

    Processor time of the one thread that computes, which is the elapsed time of a machine with nothing else to do. The
    schemes take turns on every text, so that a slow moment of the machine meets all of them.
    """
    times: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    cuts = next(iter(encoders.values())).cuts
    for turn in range(rounds + 1):
        for text in tqdm(texts, desc=f"timing {turn}/{rounds}", mininterval=2.0):
            for cut in cuts:
                for name, encoder in encoders.items():
                    started = time.thread_time()
                    encoder.pooled(encoder.tokens(text), [cut])
                    if turn:  # the first turn warms up
                        times[name, cut, text].append(1000 * (time.thread_time() - started))
    return {
        name: {cut: float(np.mean([median(times[name, cut, text]) for text in texts])) for cut in cuts}
        for name in encoders
    }


def _embed(encoder: DepthEncoder, samples: Sequence[Sample], name: str) -> Embedded:
    vectors = [encoder.encode(str(sample.text)) for sample in tqdm(samples, desc=name, mininterval=2.0)]
    return {cut: np.stack([one[cut] for one in vectors]) for cut in encoder.cuts}


def _quality(
    trained: FloatArray, dev: Mapping[str, FloatArray], texts: Texts, options: FitOptions
) -> list[dict[str, Any]]:
    """One row a scheme, the reference first.

    A cosine is taken twice: as it is, and after the mean of all reference vectors is taken off, since what texts share
    is most of a vector's length and no scheme can lose it.
    """
    fitted = np.array([sample.condition_id for sample in texts.train])
    truth = np.array([sample.condition_id for sample in texts.dev])
    groups = [sample.group for sample in texts.dev]
    heads = {
        "linear": fit_linear(trained, fitted),
        "afnet": fit_afnet(trained, fitted, [sample.group for sample in texts.train], options),
    }
    reference = next(iter(dev.values()))
    centre = reference.mean(axis=0)
    expected = {name: head(reference) for name, head in heads.items()}
    rows = []
    for scheme, vectors in dev.items():
        similar = cosines(reference, vectors)
        centred = cosines(reference - centre, vectors - centre)
        answers = {name: head(vectors) for name, head in heads.items()}
        rows.append(
            {
                "scheme": scheme,
                "cosine_mean": float(similar.mean()),
                "cosine_worst_percent": float(np.quantile(similar, 0.01)),
                "centred_cosine_mean": float(centred.mean()),
                "accuracy": {name: accuracy_by_group(groups, truth, answer) for name, answer in answers.items()},
                "agreement": {name: float((answer == expected[name]).mean()) for name, answer in answers.items()},
            }
        )
    return rows


# --------------------------------------------------------------------------- the table
def to_markdown(report: Mapping[str, Any]) -> str:
    """One table a checkpoint; accuracies are top-1 on the dev texts of each set."""
    return "\n".join(_table(one) for one in report["checkpoints"])


def _table(one: Mapping[str, Any]) -> str:
    groups = list(one["rows"][0]["accuracy"]["linear"])
    heads = ("linear", "afnet")
    titles = [
        "K",
        "weights",
        "cosine",
        "worst 1 %",
        "centred",
        *(f"{head}, {group}" for head in heads for group in groups),
    ]
    titles += ["same answer", "ms", "of fp32", "MiB"]
    lines = [
        f"{one['checkpoint']}: {one['architecture']}, {one['layers']} layers of width {one['hidden_size']}; "
        f"timed on texts of {one['timed_tokens']:.0f} tokens on average",
        "",
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
    ]
    reference = {row["cut"]: row["ms"] for row in reversed(one["rows"])}
    for row in one["rows"]:
        accuracies = [f"{row['accuracy'][head][group]:.3f}" for head in heads for group in groups]
        cells = [str(row["cut"]), row["scheme"], f"{row['cosine_mean']:.4f}", f"{row['cosine_worst_percent']:.4f}"]
        cells.append(f"{row['centred_cosine_mean']:.3f}")
        cells += [*accuracies, f"{min(row['agreement'].values()):.3f}", f"{row['ms']:.1f}"]
        cells += [f"{row['ms'] / reference[row['cut']]:.2f}", f"{row['weight_bytes'] / 2**20:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
