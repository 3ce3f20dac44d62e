"""How good the towers are where they serve: a linear probe on the pooled embeddings of the converted pair.

The probe is fitted on train as it is. On X-rays it is also asked about dev images that were cropped, darkened or
mirrored: what it loses there is what it had read from framing and sharpness instead of from lungs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from app.domain import Case, FloatArray, Image, UInt8Array
from app.encoders.omni import OmniEncoder
from app.media.audio import decode_audio
from app.media.image import decode_image
from app.media.limits import MediaLimits

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_CROPPED = 0.06
"""Part of a side that is cut off at each margin."""
_GAMMA = 1.3


@dataclass(frozen=True, slots=True)
class _Split:
    vectors: FloatArray
    """(n, hidden)"""
    labels: list[str]


def probe_report(encoder: OmniEncoder, data: Path, seed: int) -> dict[str, object]:
    """Dev numbers of both towers through decoder and quantisation; the penalty is chosen by folds of train."""
    return {"chest_xray": _xray_report(encoder, data / "cxr", seed), "heart_sound": _heart_report(encoder, data, seed)}


def _xray_report(encoder: OmniEncoder, folder: Path, seed: int) -> dict[str, object]:
    def case(change: Callable[[UInt8Array], UInt8Array]) -> Callable[[Path], Case]:
        def read(path: Path) -> Case:
            pixels = decode_image(path.read_bytes(), MediaLimits()).pixels
            return Case(language="en", images=(Image(np.ascontiguousarray(change(pixels))),))

        return read

    probe = _fitted(_embedded(encoder, folder, "train", case(lambda pixels: pixels)), seed)
    report = _scores(probe, _embedded(encoder, folder, "dev", case(lambda pixels: pixels)))
    changes = {"cropped": _cropped, "darkened": _darkened, "mirrored": lambda pixels: pixels[:, ::-1]}
    report["macro_f1_of_changed_dev_images"] = {
        name: _scores(probe, _embedded(encoder, folder, "dev", case(change)))["macro_f1"]
        for name, change in changes.items()
    }
    return report


def _heart_report(encoder: OmniEncoder, data: Path, seed: int) -> dict[str, object]:
    def case(path: Path) -> Case:
        return Case(language="en", audio=decode_audio(path.read_bytes(), MediaLimits()))

    probe = _fitted(_embedded(encoder, data / "heart", "train", case), seed)
    return _scores(probe, _embedded(encoder, data / "heart", "dev", case))


def _cropped(pixels: UInt8Array) -> UInt8Array:
    top, left = (int(extent * _CROPPED) for extent in pixels.shape[:2])
    return pixels[top : len(pixels) - top, left : pixels.shape[1] - left]


def _darkened(pixels: UInt8Array) -> UInt8Array:
    levels: npt.NDArray[np.float64] = 255 * (np.arange(256) / 255) ** _GAMMA
    return levels.astype(np.uint8)[pixels]


def _embedded(encoder: OmniEncoder, folder: Path, split: str, case: Callable[[Path], Case]) -> _Split:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    vectors = [encoder.encode(case(folder / split / row["file"]))[0].vector for row in rows]
    return _Split(np.stack(vectors), [row["label"] for row in rows])


def _fitted(train: _Split, seed: int) -> Pipeline:
    regression = LogisticRegressionCV(
        Cs=list(_PENALTIES), cv=5, class_weight="balanced", scoring="f1_macro", max_iter=3000, random_state=seed
    )
    return make_pipeline(StandardScaler(), regression).fit(train.vectors, train.labels)


def _scores(probe: Pipeline, dev: _Split) -> dict[str, object]:
    predicted = probe.predict(dev.vectors)
    classes = [str(name) for name in probe.classes_]
    each = f1_score(dev.labels, predicted, average=None, labels=classes)
    return {
        "dev": len(dev.labels),
        "accuracy": round(float(accuracy_score(dev.labels, predicted)), 4),
        "macro_f1": round(float(f1_score(dev.labels, predicted, average="macro")), 4),
        "f1": {name: round(float(value), 4) for name, value in zip(classes, each, strict=True)},
        "confusion": {
            name: dict(zip(classes, map(int, row), strict=True))
            for name, row in zip(classes, confusion_matrix(dev.labels, predicted, labels=classes), strict=True)
        },
        "embedding_norm": round(float(np.linalg.norm(dev.vectors, axis=1).mean()), 1),
    }
