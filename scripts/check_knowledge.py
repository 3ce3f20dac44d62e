#!/usr/bin/env python3
"""Proves that the knowledge files are complete and consistent, and counts what is in them.

    python scripts/check_knowledge.py [--data app/knowledge/data]

Exit code 1 with one line per reason where they are not.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.errors import ArtifactError  # noqa: E402
from app.knowledge.audit import audit  # noqa: E402
from app.knowledge.base import DATA_FOLDER, KnowledgeBase  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA_FOLDER, help="folder of the knowledge files")
    try:
        knowledge = KnowledgeBase.load(parser.parse_args(arguments).data)
    except ArtifactError as error:
        print(error)
        return 1
    reasons = audit(knowledge)
    for line in _counts(knowledge):
        print(line)
    for reason in reasons:
        print(reason)
    print(f"{len(reasons)} problems" if reasons else "complete and consistent")
    return 1 if reasons else 0


def _counts(knowledge: KnowledgeBase) -> list[str]:
    conditions, findings = knowledge.conditions.values(), knowledge.findings.values()
    kinds = Counter(entry.kind for entry in findings)
    specialties = Counter(entry.specialty for entry in conditions)
    used = {finding_id for entry in conditions for finding_id in (*entry.findings, *entry.against, *entry.red_flags)}
    phrases = sum(
        len(voice.patient) + len(voice.clinician)
        for entry in findings
        for voice in (entry.phrases.en, entry.phrases.ko)
    )
    return [
        f"version     {knowledge.version}",
        f"conditions  {len(conditions)} ({', '.join(f'{name} {count}' for name, count in specialties.most_common())})",
        f"findings    {len(findings)} ({', '.join(f'{name} {count}' for name, count in kinds.most_common())});"
        f" {sum(entry.code is not None for entry in findings)} coded, {len(used)} used by conditions",
        f"forms       {sum(len(entry.forms.en) + len(entry.forms.ko) for entry in findings)}, phrases {phrases}",
        f"red flags   {len(knowledge.red_flag_rules)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
