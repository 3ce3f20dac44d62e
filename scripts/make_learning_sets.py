#!/usr/bin/env python
"""Choose what every training run needs of the base training: replay, calibration and gate cases, and emergencies.

    python scripts/make_learning_sets.py --data ../shared/data

For the fusion weights that were trained with `train_fusion.py` from the same data; with the same --work folder the
embeddings come from its cache. Writes evidence tokens (no text) to models/embedded/learning.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.encoders.cache import DiskCache
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.fusion.artifact import load_artifact
from app.knowledge.base import KnowledgeBase
from app.learning.cases import SET_NAMES, save_learning_sets
from app.learning.choosing import choose, emergencies
from app.training.datasets import DataFolder
from app.training.phrasebook import Phrasebook
from app.training.recipe import Recipe, make_token_sets, token_maker

PAIR = Path("models/embedded")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the public data folder")
    parser.add_argument("--omni", type=Path, default=PAIR / "build/omni")
    parser.add_argument("--medical", type=Path, default=PAIR / "build/medical")
    parser.add_argument("--fusion", type=Path, default=PAIR / "fusion")
    parser.add_argument("--out", type=Path, default=PAIR / "learning")
    parser.add_argument("--work", type=Path, default=Path("data/training-cache"), help="where embeddings are cached")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    config = load_artifact(options.fusion).config
    layers = {name: identity.cut_layer for name, identity in config.encoders.items()}
    cache = DiskCache(options.work, max_bytes=4_000_000_000)
    omni = OmniEncoder.load(options.omni, threads=options.threads, cut_layer=layers["omni"], cache=cache)
    medical = MedicalEncoder.load(options.medical, threads=options.threads, cut_layer=layers["medical"], cache=cache)
    knowledge = KnowledgeBase.load()
    maker = token_maker(knowledge, (omni, medical))
    recipe = Recipe(seed=config.seed)
    sets = make_token_sets(recipe, DataFolder(options.data, recipe.seed), knowledge, maker)
    urgent = emergencies(Phrasebook.load(conditions=knowledge.conditions), knowledge, maker)
    chosen = choose(sets, urgent, recipe.seed)
    save_learning_sets(options.out, chosen, config)
    for name in SET_NAMES:
        path = options.out / f"{name}.safetensors"
        print(f"{name:12} {len(getattr(chosen, name).cases):6} cases {path.stat().st_size / 1e6:6.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
