#!/usr/bin/env python
"""Train AFNet for a converted encoder pair: encode, fit, calibrate on dev, write the fusion folder.

    python scripts/train_fusion.py --data ../shared/data

Embeddings are cached under --work, so a second run with other fit options takes minutes. The same seed, data,
knowledge and encoders give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.encoders.cache import DiskCache
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.knowledge.base import KnowledgeBase
from app.settings import Settings
from app.training.datasets import DataFolder
from app.training.fitting import FitOptions
from app.training.recipe import Recipe, make_token_sets, save, token_maker, train

PAIR = Path("models/embedded")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the public data folder")
    parser.add_argument("--omni", type=Path, default=PAIR / "build/omni")
    parser.add_argument("--medical", type=Path, default=PAIR / "build/medical")
    settings = Settings.load()
    layers = "layers that run; default {}, else all that the folder holds (scripts/plan_memory.py --before-training)"
    parser.add_argument(
        "--omni-layers", type=int, default=settings.qwen_cut_layer, metavar="K", help=layers.format("QWEN_CUT_LAYER")
    )
    parser.add_argument(
        "--medical-layers",
        type=int,
        default=settings.mmed_llama_cut_layer,
        metavar="K",
        help=layers.format("MMED_LLAMA_CUT_LAYER"),
    )
    parser.add_argument("--out", type=Path, default=PAIR / "fusion")
    parser.add_argument("--work", type=Path, default=Path("data/training-cache"), help="where embeddings are cached")
    parser.add_argument("--steps", type=int, default=FitOptions().steps)
    parser.add_argument("--per-condition", type=int, default=Recipe().generated_per_condition)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if not (options.data / "labels.csv").is_file():
        parser.error(f"{options.data} holds no labels.csv")
    started = time.monotonic()
    knowledge = KnowledgeBase.load()
    cache = DiskCache(options.work, max_bytes=4_000_000_000)
    omni = OmniEncoder.load(options.omni, threads=options.threads, cut_layer=options.omni_layers or None, cache=cache)
    medical = MedicalEncoder.load(
        options.medical, threads=options.threads, cut_layer=options.medical_layers or None, cache=cache
    )
    maker = token_maker(knowledge, (omni, medical))
    recipe = Recipe(
        generated_per_condition=options.per_condition,
        fit=FitOptions(steps=options.steps, seed=options.seed),
        seed=options.seed,
    )
    sets = make_token_sets(recipe, DataFolder(options.data, options.seed), knowledge, maker)
    manifests = {"omni": omni.manifest, "medical": medical.manifest}
    trained = train(recipe, sets, knowledge, maker.codec, manifests)
    trained.report["minutes"] = round((time.monotonic() - started) / 60, 1)
    save(options.out, trained)
    print(json.dumps(trained.report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
