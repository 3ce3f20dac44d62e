#!/usr/bin/env python
"""Put the figures of an evaluation into docs/MODEL_CARD.md.

python scripts/evaluate.py --data ../shared/data --out docs/evaluation
python scripts/model_card.py
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.model_card import measured_section, with_section

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=ROOT / "docs/evaluation/evaluation.json")
    parser.add_argument("--card", type=Path, default=ROOT / "docs/MODEL_CARD.md")
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    card = with_section(options.card.read_text(encoding="utf-8"), measured_section(report))
    options.card.write_text(card, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
