"""How good the towers are where they serve: a linear probe on the pooled embeddings of the converted pair."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.domain import Case, FloatArray
from app.encoders.omni import OmniEncoder
from app.media.audio import decode_audio
from app.media.image import decode_image
from app.media.limits import MediaLimits

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def probe_report(encoder: OmniEncoder, data: Path, seed: int) -> dict[str, object]:
    """Dev numbers of both towers through decoder and quantisation; the penalty is chosen by folds of train."""
    return {
        "chest_xray": _probe(*_embedded(encoder, data / "cxr", _xray_case), seed),
        "heart_sound": _probe(*_embedded(encoder, data / "heart", _heart_case), seed),
    }


def _xray_case(path: Path) -> Case:
    return Case(language="en", images=(decode_image(path.read_bytes(), MediaLimits()),))


def _heart_case(path: Path) -> Case:
    return Case(language="en", audio=decode_audio(path.read_bytes(), MediaLimits()))


Split = tuple[FloatArray, list[str]]


def _embedded(encoder: OmniEncoder, folder: Path, case: Callable[[Path], Case]) -> tuple[Split, Split]:
    """Embeddings (n, hidden) and labels of train and dev."""
    splits = []
    for split in ("train", "dev"):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        vectors = [encoder.encode(case(folder / split / row["file"]))[0].vector for row in rows]
        splits.append((np.stack(vectors), [row["label"] for row in rows]))
    return splits[0], splits[1]


def _probe(train: Split, dev: Split, seed: int) -> dict[str, object]:
    regression = LogisticRegressionCV(
        Cs=list(_PENALTIES), cv=5, class_weight="balanced", scoring="f1_macro", max_iter=3000, random_state=seed
    )
    model = make_pipeline(StandardScaler(), regression).fit(*train)
    predicted = model.predict(dev[0])
    classes = [str(name) for name in model.classes_]
    each = f1_score(dev[1], predicted, average=None, labels=classes)
    return {
        "dev": len(dev[1]),
        "accuracy": round(float(accuracy_score(dev[1], predicted)), 4),
        "macro_f1": round(float(f1_score(dev[1], predicted, average="macro")), 4),
        "f1": {name: round(float(value), 4) for name, value in zip(classes, each, strict=True)},
        "confusion": {
            name: dict(zip(classes, map(int, row), strict=True))
            for name, row in zip(classes, confusion_matrix(dev[1], predicted, labels=classes), strict=True)
        },
        "embedding_norm": round(float(np.linalg.norm(dev[0], axis=1).mean()), 1),
    }
