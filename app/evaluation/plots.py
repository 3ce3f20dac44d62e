"""Plots of a benchmark or an evaluation as PNG files. matplotlib is a development requirement, imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

_SIZE_INCHES = (7.0, 4.0)
_GB = 1e9


def plot_lengths(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Milliseconds of a text case against its tokens; `rows` have `tokens` and `ms`."""
    figure, axes = _figure("tokens of text", "seconds")
    axes.plot([row["tokens"] for row in rows], [row["ms"] / 1000 for row in rows], marker="o")
    axes.set_xlim(left=0)
    _save(figure, path)


def plot_memory(path: Path, samples: Sequence[Mapping[str, Any]], limit_bytes: int | None) -> None:
    """Memory over time; `samples` are those of `full_size_watch.MemorySample`."""
    figure, axes = _figure("seconds", "GB")
    labels = {"anonymous": "anonymous", "file": "mapped files", "group": "counted against the limit"}
    seconds = [sample["seconds"] for sample in samples]
    for name, label in labels.items():
        if all(sample[name] is not None for sample in samples):
            axes.plot(seconds, [sample[name] / _GB for sample in samples], label=label)
    if limit_bytes is not None:
        axes.axhline(limit_bytes / _GB, color="black", linestyle="--", label="limit")
    axes.legend()
    _save(figure, path)


def plot_reliability(path: Path, bins: Sequence[Mapping[str, Any]]) -> None:
    """How often right against how sure; `bins` are those of `metrics.ReliabilityBin`, bars as wide as the bin."""
    figure, axes = _figure("confidence of the first condition", "share answered right")
    lower, width = [row["lower"] for row in bins], [row["upper"] - row["lower"] for row in bins]
    axes.bar(lower, [row["accuracy"] for row in bins], width, align="edge", alpha=0.6, edgecolor="black")
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", label="calibrated")
    for row in bins:
        axes.annotate(str(row["cases"]), (row["confidence"], row["accuracy"]), ha="center", va="bottom", fontsize=7)
    axes.set_xlim(0, 1)
    axes.legend(loc="upper left")
    _save(figure, path)


def plot_clinic(path: Path, measurements: Sequence[Mapping[str, Any]]) -> None:
    """Accuracy after so many analyses with feedback; `measurements` are those of `clinic_report`."""
    figure, axes = _figure("analyses with feedback", "accuracy on other cases")
    analyses = [row["analyses"] for row in measurements]
    labels = {"drifted": "conditions with a new local meaning", "rest": "all others"}
    for (name, label), marker in zip(labels.items(), "os", strict=True):
        axes.plot(analyses, [row[name]["accuracy"] for row in measurements], marker=marker, label=label)
    for before, after in pairwise(measurements):
        if before["version"] != after["version"]:
            axes.annotate(f"{after['version']} ", (after["analyses"], 0.03), ha="right", fontsize=7)
            axes.axvline(after["analyses"], color="black", linestyle=":", linewidth=0.8)
    axes.set_ylim(top=1.02)
    axes.legend(loc="best")
    _save(figure, path)


def _figure(x: str, y: str) -> tuple[Any, Any]:
    """RuntimeError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError("plots need matplotlib: pip install -r requirements-dev.txt") from error
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.gca().set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
