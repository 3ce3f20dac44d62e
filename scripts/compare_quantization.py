#!/usr/bin/env python
"""int8 and int4 decoders against fp32 on real weights, at several cut layers: JSON and a Markdown table.

    python scripts/compare_quantization.py --data ../shared/data
    python scripts/compare_quantization.py --data ../shared/data --checkpoint downloads/medical

The first takes the weights of the embedded pair; further checkpoint folders may be any that the medical slot takes.
Texts: Symptom2Disease, and DDXPlus patients in the style "brief", a seeded subset of the train set. One thread.
Embeddings are cached under --work: a second run only converts, fits and takes the times again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.conversion import NoProgress
from app.conversion.embedded import EmbeddedOptions, packaged_gguf
from app.conversion.embedded_checkpoints import write_medical_checkpoint
from app.conversion.gguf import GgufLlama
from app.encoders.cache import DiskCache
from app.evaluation.quantization import Options, Texts, balanced, compare, to_markdown
from app.fusion.threads import use_one_thread
from app.training.datasets import DataFolder
from app.training.fitting import FitOptions


def texts_of(data: DataFolder, per_condition: int) -> Texts:
    """All of Symptom2Disease, every DDXPlus dev patient, and `per_condition` train patients of each condition."""
    patients = {split: data.ddxplus(split, ("brief",)) for split in ("train", "dev")}
    train = balanced(patients["train"], per_condition, data.seed)
    return Texts([*data.symptom2disease("train"), *train], [*data.symptom2disease("dev"), *patients["dev"]])


def main() -> int:
    options = _options()
    use_one_thread()
    texts = texts_of(DataFolder(options.data, options.seed), options.per_condition)
    fit = FitOptions(steps=options.steps, seed=options.seed)
    settings = Options(fit=fit, timed_texts=options.timed_texts, rounds=options.rounds, seed=options.seed)
    cache = DiskCache(options.work, max_bytes=2_000_000_000)
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder = Path(name)
        embedded = folder / "SmolLM2-135M-Instruct"
        write_medical_checkpoint(GgufLlama(packaged_gguf()), embedded, NoProgress())
        prefix = EmbeddedOptions().prompt_prefix
        reports = [compare(embedded, texts, settings, cache, folder / "0", prompt_prefix=prefix)]
        for number, checkpoint in enumerate(options.checkpoint, start=1):
            reports.append(compare(checkpoint, texts, settings, cache, folder / str(number)))
    _write(options.out, reports, texts)
    return 0


def _write(folder: Path, reports: list[dict[str, Any]], texts: Texts) -> None:
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "texts": {"train": len(texts.train), "dev": len(texts.dev)},
        "checkpoints": reports,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quantization.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (folder / "quantization.md").write_text(to_markdown(report), encoding="utf-8")
    print(to_markdown(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the public data folder")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a further folder; repeatable")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    parser.add_argument(
        "--work", type=Path, default=Path("data/quantization-cache"), help="where embeddings are cached"
    )
    parser.add_argument("--per-condition", type=int, default=13, help="DDXPlus train patients of each condition")
    parser.add_argument("--steps", type=int, default=600, help="of AFNet's fit")
    parser.add_argument("--timed-texts", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not (options.data / "labels.csv").is_file():
        parser.error(f"{options.data} holds no labels.csv")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
