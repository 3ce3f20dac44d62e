#!/usr/bin/env python
"""Quality on the dev sets and on the sets of tests/quality, through the HTTP API: JSON, Markdown, reliability diagram.

python scripts/evaluate.py --data ../shared/data              starts a service of its own
python scripts/evaluate.py --data ../shared/data --url http://127.0.0.1:8000
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.evaluation.pairs import paired_samples
from app.evaluation.plots import plot_reliability
from app.evaluation.quality import Answered, CaseClient, request_body, video_body
from app.evaluation.quality_sets import description_samples, load_descriptions
from app.evaluation.reports import (
    age_group_of,
    by_group,
    calibration_report,
    condition_report,
    condition_table,
    language_of,
    sex_of,
    summary,
    to_markdown,
    triage_by_group,
    triage_report,
)
from app.evaluation.service import measured_service
from app.evaluation.written_sets import written_report
from app.knowledge.base import KnowledgeBase
from app.training.datasets import DataFolder
from app.training.generation import CaseGenerator

WRITTEN = Path(__file__).resolve().parents[1] / "tests/quality"
TEXT_SETS = (
    "symptom2disease", "ddxplus", "ddxplus_brief", "generated_en", "generated_ko", "described_en", "described_ko",
)  # fmt: skip
GROUPS = {"language": language_of, "sex": sex_of, "age": age_group_of}


def evaluate(client: CaseClient, data: DataFolder, knowledge: KnowledgeBase, limit: int | None) -> dict[str, Any]:
    """Every dev set; `limit` cuts each one for a quick look."""
    cut = slice(limit)
    answers = {
        name: client.ask(samples[cut], name, body) for name, (samples, body) in _condition_sets(data, knowledge).items()
    }
    sets: dict[str, Any] = {name: condition_report(answered) for name, answered in answers.items()}
    visits = [sample for sample in data.ktas("dev", knowledge.match_condition) if sample.text]
    triaged = client.ask(visits[cut], "ktas", request_body)
    sets["ktas"] = triage_report(triaged)
    texts = [answer for name in TEXT_SETS for answer in answers[name]]
    return {
        "sets": sets,
        "texts": calibration_report(texts),
        "text_conditions": condition_table(texts),
        "groups": {name: by_group(texts, key) for name, key in GROUPS.items()},
        "triage_groups": triage_by_group(triaged, (sex_of, age_group_of)),
        "pairs": _pairs(client, data, cut),
        "written": written_report(client, WRITTEN, limit),
    }


def _condition_sets(data: DataFolder, knowledge: KnowledgeBase) -> dict[str, Any]:
    described = load_descriptions(WRITTEN)
    generated = list(CaseGenerator(knowledge.conditions, knowledge.findings).generate(1, seed=777))
    return {
        "symptom2disease": (data.symptom2disease("dev"), request_body),
        "ddxplus": (data.ddxplus("dev", ("full",), with_patient=False), request_body),
        "ddxplus_brief": (data.ddxplus("dev", ("brief",), with_patient=False), request_body),
        "chest_xray": (data.chest_xrays("dev"), request_body),
        "heart_sound": (data.heart_sounds("dev"), request_body),
        "video_of_xray": (data.chest_xrays("dev"), video_body),
        "described_en": (description_samples(described, "en"), request_body),
        "described_ko": (description_samples(described, "ko"), request_body),
        "generated_en": ([sample for sample in generated if sample.language == "en"], request_body),
        "generated_ko": ([sample for sample in generated if sample.language == "ko"], request_body),
    }


def _pairs(client: CaseClient, data: DataFolder, cut: slice) -> dict[str, dict[str, Any]]:
    """A picture and a text of the same condition, from different patients, against either alone.

    The texts are those of the dev sets as they are, and, because those name the condition nearly always by themselves,
    first complaints: what a patient says before anyone has asked.
    """
    told = [*data.symptom2disease("dev"), *data.ddxplus("dev", ("brief",), with_patient=False)]
    complaints = data.ddxplus("dev", ("complaint",), with_patient=False)
    result: dict[str, dict[str, Any]] = {}
    for kind, texts in (("", told), ("complaint: ", complaints)):
        for name, samples in paired_samples(data.chest_xrays("dev"), texts).items():
            answered: list[Answered] = client.ask(samples[cut], f"pairs: {kind}{name}", request_body)
            result[kind + name] = summary(answered)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--url", help="a running service; without it one is started")
    parser.add_argument("--api-key")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    parser.add_argument("--limit", type=int, help="at most this many cases of each set")
    options = parser.parse_args()
    if not (options.data / "labels.csv").is_file():
        parser.error(f"{options.data} holds no labels.csv")
    with measured_service(options.url, {"QUEUE_SIZE": "16"}) as service:
        client = CaseClient(service.url, options.api_key)
        result = evaluate(client, DataFolder(options.data), KnowledgeBase.load(), options.limit)
    report = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.platform(), **result}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "evaluation.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    (options.out / "evaluation.md").write_text(to_markdown(report), encoding="utf-8")
    plot_reliability(options.out / "reliability.png", report["texts"]["bins"])
    print(to_markdown(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
