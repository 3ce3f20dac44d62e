#!/usr/bin/env python3
"""Print what the service will take of this machine's memory, and whether it fits.

    scripts/plan_memory.py                       as .env and the environment say
    scripts/plan_memory.py --before-training     no fusion weights yet: how many layers of each decoder to train them on
    scripts/plan_memory.py --before-training --omni models/full/omni --medical models/full/medical --max-memory 7GiB

Exit status 0 where it fits, 1 where it does not or a folder is not whole, with one line on standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.errors import AppError
from app.memory_plan import CutLayers, MemoryPlan, memory_table
from app.served import served_manifests
from app.settings import Settings
from app.wiring import plan_service


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        plan = _plan(_settings(options), before_training=options.before_training)
        print(memory_table(plan))
        plan.check()
    except AppError as error:
        print(f"error: {error.params.get('reason', error)}", file=sys.stderr)
        return 1
    if options.before_training:
        cut = plan.cut_layers
        print(f"train the fusion weights with QWEN_CUT_LAYER={cut.omni} MMED_LLAMA_CUT_LAYER={cut.medical}")
    return 0


def _plan(settings: Settings, *, before_training: bool) -> MemoryPlan:
    """Before training a cut layer that is set is kept, and both are planned where one is not."""
    if before_training:
        asked = CutLayers(settings.qwen_cut_layer, settings.mmed_llama_cut_layer)
        return plan_service(settings, asked if asked.omni and asked.medical else None)
    manifests = served_manifests(settings)
    return plan_service(settings, CutLayers(*(manifests[name].decoder.cut_layer for name in ("omni", "medical"))))


def _settings(options: argparse.Namespace) -> Settings:
    given = {
        "qwen_model_path": options.omni,
        "mmed_llama_model_path": options.medical,
        "fusion_weights_path": options.fusion,
        "max_memory": options.max_memory,
    }
    return Settings.load(**{name: value for name, value in given.items() if value is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omni", type=Path, help="converted folder; default QWEN_MODEL_PATH")
    parser.add_argument("--medical", type=Path, help="converted folder; default MMED_LLAMA_MODEL_PATH")
    parser.add_argument("--fusion", type=Path, help="fusion folder; default FUSION_WEIGHTS_PATH")
    parser.add_argument("--max-memory", help="like 7GiB; default MAX_MEMORY")
    parser.add_argument("--before-training", action="store_true", help="choose the cut layers; ask no fusion folder")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
