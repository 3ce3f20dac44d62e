"""The sets of tests/quality that look at one property, through the HTTP API: emergencies, harmless complaints, what is
no case, and what must not matter. The described cases are ranked like the dev sets."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.domain import Language, Patient
from app.evaluation.non_medical_media import non_medical_media
from app.evaluation.quality import Answer, CaseClient, patient_body
from app.evaluation.safety_sets import (
    VoicedCase,
    demographic_patients,
    load_invariance,
    load_non_medical_texts,
    load_voiced_cases,
)

LANGUAGES: tuple[Language, ...] = ("ko", "en")
URGENT = frozenset({"high", "critical"})


def written_report(client: CaseClient, folder: Path, limit: int | None = None) -> dict[str, Any]:
    """Every such set of `folder`; `limit` cuts each one."""
    cut = slice(limit)
    return {
        "emergencies": urgency(client, load_voiced_cases(folder / "emergencies.yaml")[cut], "emergencies"),
        "harmless": urgency(client, load_voiced_cases(folder / "harmless.yaml")[cut], "harmless"),
        "non_medical": abstention(client, folder, cut),
        "invariance": invariance(client, folder, cut),
    }


def urgency(client: CaseClient, cases: Sequence[VoicedCase], name: str) -> dict[str, Any]:
    """Language -> share whose level is high or critical, and the ids on either side."""
    report: dict[str, Any] = {}
    for language in LANGUAGES:
        answers = client.post_all([_text_body(case.text(language), language) for case in cases], f"{name} {language}")
        urgent = [case.case_id for case, body in zip(cases, answers, strict=True) if is_urgent(body)]
        others = [case.case_id for case in cases if case.case_id not in set(urgent)]
        share = round(len(urgent) / max(1, len(cases)), 4)
        report[language] = {"cases": len(cases), "urgent": share, "urgent_ids": urgent, "other_ids": others}
    return report


def is_urgent(body: Answer) -> bool:
    return body["risk"]["level"] in URGENT


def abstention(client: CaseClient, folder: Path, cut: slice) -> dict[str, Any]:
    """Kind of input -> share answered `insufficient_evidence`, and the ids that were not."""
    inputs = [
        ("text", item.case_id, _text_body(item.text, item.language))
        for item in load_non_medical_texts(folder / "non_medical.yaml")[cut]
    ]
    inputs += [
        (medium.kind, medium.case_id, {medium.kind: base64.b64encode(medium.data).decode()})
        for medium in list(non_medical_media())[cut]
    ]
    answers = client.post_all([body for _, _, body in inputs], "non-medical")
    missed: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for (kind, case_id, _), body in zip(inputs, answers, strict=True):
        counts[kind] += 1
        missed[kind] += [case_id] if body["status"] == "ok" else []
    rows = {kind: {"cases": count, **_abstained(count, missed[kind])} for kind, count in counts.items()}
    every = [case_id for ids in missed.values() for case_id in ids]
    return {"all": {"cases": len(inputs), **_abstained(len(inputs), every)}, **rows}


def _abstained(count: int, answered: list[str]) -> dict[str, Any]:
    return {"abstained": round(1 - len(answered) / max(1, count), 4), "answered_ids": answered}


def invariance(client: CaseClient, folder: Path, cut: slice) -> dict[str, Any]:
    """Share of cases whose first condition stays the same: for other patients, and for other words."""
    sets = load_invariance(folder / "invariance.yaml")
    patients = demographic_patients()
    told = [(case, language) for case in sets.patients[cut] for language in LANGUAGES]
    bodies = [_text_body(case.text(language), language, patient) for case, language in told for patient in patients]
    firsts = [_first(body) for body in client.post_all(bodies, "other patients")]
    groups = [set(firsts[start : start + len(patients)]) for start in range(0, len(firsts), len(patients))]
    swaps = sets.synonyms[cut]
    pairs = client.post_all(
        [_text_body(text, swap.language) for swap in swaps for text in (swap.first, swap.second)], "other words"
    )
    same = [_first(pairs[2 * index]) == _first(pairs[2 * index + 1]) for index in range(len(swaps))]
    return {
        "patients": {
            "cases": len(groups),
            "unchanged": round(sum(len(group) == 1 for group in groups) / max(1, len(groups)), 4),
            "changed_ids": [
                f"{case.case_id} {language}"
                for (case, language), group in zip(told, groups, strict=True)
                if len(group) > 1
            ],
        },
        "synonyms": {
            "cases": len(same),
            "unchanged": round(sum(same) / max(1, len(same)), 4),
            "changed_ids": [swap.case_id for swap, kept in zip(swaps, same, strict=True) if not kept],
        },
    }


def _first(body: Answer) -> str:
    return str(body["differential"][0]["condition_id"])


def _text_body(text: str, language: Language, patient: Patient | None = None) -> dict[str, Any]:
    values = patient_body(patient) if patient is not None else {}
    return {"text": text, "language": language, **({"patient": values} if values else {})}
