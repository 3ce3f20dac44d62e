#!/usr/bin/env python3
"""Pack the model folders' weights for this machine, before the first start or after a move to another one.

    scripts/prepare_models.py               as .env and the environment say: QWEN_MODEL_PATH, MMED_LLAMA_MODEL_PATH,
                                            FUSION_WEIGHTS_PATH, QWEN_CUT_LAYER, MMED_LLAMA_CUT_LAYER, PREPARED_DIR

The service does the same by itself at its first start (PREPARE=auto); this lets it start at once. What is there already
and fits this machine is kept. An interrupted run is gone on with. Exit status 1 and one line where it cannot be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.errors import AppError
from app.prepared.builder import prepare
from app.served import served_manifests
from app.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    try:
        settings = Settings.load()
        folders = {"omni": settings.qwen_model_path, "medical": settings.mmed_llama_model_path}
        for name, manifest in served_manifests(settings).items():
            place = prepare(folders[name], manifest, settings.prepared_dir, _Report(name))
            size = sum(path.stat().st_size for path in place.iterdir())
            print(f"{name}: {manifest.decoder.cut_layer} layers, {size / 2**30:.2f} GiB in {place}")
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run it again to go on", file=sys.stderr)
        return 130
    return 0


class _Report:
    """Percent on standard error, one line an encoder on a terminal, a line each tenth elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = -1

    def __call__(self, share: float) -> None:
        step = int(share * (100 if sys.stderr.isatty() else 10))
        if step > self._shown:
            self._shown = step
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{self._name}: {100 * share:.0f} %", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
