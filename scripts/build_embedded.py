"""Build the embedded pair: models/embedded/build/{medical,omni}. Does nothing where it is built and up to date.

python scripts/build_embedded.py [--output models/embedded/build] [--towers models/embedded/towers]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.conversion.embedded import MEMBERS, build_embedded, packaged_gguf
from app.conversion.progress import ConsoleProgress
from app.errors import AppError

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    embedded = ROOT / "models" / "embedded"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=embedded / "build")
    parser.add_argument("--towers", type=Path, default=embedded / "towers")
    arguments = parser.parse_args()
    begun = time.monotonic()
    progress = ConsoleProgress()
    try:
        built = build_embedded(packaged_gguf(), arguments.towers, arguments.output, progress)
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        progress.close()
    if not built:
        print(f"embedded pair is up to date in {arguments.output}")
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sizes = " ".join(f"{member} {_size(arguments.output / member):.0f} MB" for member in MEMBERS)
    print(f"embedded pair built in {time.monotonic() - begun:.0f} s, peak memory {peak:.0f} MiB: {sizes}")
    return 0


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
