"""Classifiers over pooled text embeddings: a plain one and the product's own network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.domain import FloatArray, Source
from app.fusion.afnet import AFNetConfig
from app.fusion.tokens import EvidenceToken
from app.training.fitting import Composer, FitOptions, fit, score, source_statistics
from app.training.tokens import LabelledTokens

Labels = npt.NDArray[np.str_]
Head = Callable[[FloatArray], Labels]
"""Embeddings (n, hidden) -> predicted condition ids (n,)."""


def fit_linear(vectors: FloatArray, truth: Labels) -> Head:
    """Logistic regression on standardised embeddings."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    model.fit(vectors, truth)
    return lambda rows: np.asarray(model.predict(rows))


def fit_afnet(vectors: FloatArray, truth: Labels, groups: Sequence[str], options: FitOptions) -> Head:
    """The product's fusion network with medical/text as its only source; every group is drawn equally often."""
    names = np.unique(truth)
    cases = _cases(vectors, groups, np.searchsorted(names, truth))
    pools: dict[str, list[LabelledTokens]] = defaultdict(list)
    for case in cases:
        pools[case.group].append(case)
    config = AFNetConfig({Source.MEDICAL_TEXT.value: vectors.shape[1]}, len(names))
    composer = Composer(pools, dict.fromkeys(pools, 1.0), normal=-1, pair_share=0.0)
    network = fit(composer, config, source_statistics(cases), options)

    def predict(rows: FloatArray) -> Labels:
        unknown = np.full(len(rows), -1)
        logits, _ = score(network, _cases(rows, [""] * len(rows), unknown))
        return np.asarray(names[logits.argmax(axis=1)])

    return predict


def _cases(vectors: FloatArray, groups: Sequence[str], conditions: npt.NDArray[Any]) -> list[LabelledTokens]:
    source = Source.MEDICAL_TEXT.value
    return [
        LabelledTokens(group, (EvidenceToken(source, vector),), int(condition), 0, 0.0)
        for vector, group, condition in zip(vectors, groups, conditions, strict=True)
    ]
