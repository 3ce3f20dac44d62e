"""Synthetic pairs: a picture and a text of the same condition, from different patients, and either of them alone.

No set with both was at hand. The pairs say whether the network uses two sources together, not how often real patients
have both.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from app.training.samples import Sample


def paired_samples(pictures: Sequence[Sample], texts: Sequence[Sample], seed: int = 0) -> dict[str, list[Sample]]:
    """Every picture whose condition has a text, in three forms and the same order: "picture", "text", "both"."""
    rng = random.Random(seed)  # noqa: S311 - pairing
    by_condition: dict[str | None, list[Sample]] = defaultdict(list)
    for text in texts:
        by_condition[text.condition_id].append(text)
    pairs = [
        (picture, rng.choice(by_condition[picture.condition_id]))
        for picture in pictures
        if by_condition.get(picture.condition_id)
    ]
    return {
        "picture": [picture for picture, _ in pairs],
        "text": [text for _, text in pairs],
        "both": [replace(text, image=picture.image) for picture, text in pairs],
    }
