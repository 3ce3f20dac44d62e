"""Figures of the simulated clinic: accuracy by version, what each run did; the measured part of docs/LEARNING.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.domain import Language
from app.evaluation.clinic import POLL_S, version_of
from app.evaluation.clinic_cases import ClinicCase
from app.evaluation.quality import Answered

MARKS: Mapping[Language, tuple[str, str]] = {
    language: (f"<!-- clinic {language}: made by scripts/simulate_clinic.py -->", f"<!-- clinic {language}: end -->")
    for language in ("en", "ko")
}
MIN_DRIFTED_GAIN, MAX_REST_LOSS = 30.0, 1.0
"""Percentage points."""

_POINTS = 100.0
Pair = tuple[ClinicCase, Answered]


def measurement(
    analyses: int, cases: Mapping[str, Sequence[ClinicCase]], answers: Mapping[str, Sequence[Answered]]
) -> dict[str, Any]:
    """What one version answers. ValueError where several versions did."""
    by_set = {name: list(zip(members, answers[name], strict=True)) for name, members in cases.items()}
    everything = [pair for pairs in by_set.values() for pair in pairs]
    versions = {version_of(answer.body) for _, answer in everything}
    if len(versions) != 1:
        raise ValueError(f"{len(versions)} versions answered one measurement")
    rest = {name: [pair for pair in pairs if not pair[0].is_drifted] for name, pairs in by_set.items()}
    drifted = [pair for pair in everything if pair[0].is_drifted]
    unchanged = [pair for pairs in rest.values() for pair in pairs]
    return {
        "analyses": analyses,
        "version": versions.pop(),
        "drifted": _figures(drifted),
        "rest": _figures(unchanged),
        "conditions": {
            name: {"means": members[0][0].truth, **_figures(members)}
            for name, members in _grouped(drifted, lambda pair: str(pair[0].sample.condition_id)).items()
        },
        "sets": {name: _figures(members) for name, members in rest.items()},
        "languages": {
            name: _figures(members)
            for name, members in _grouped(unchanged, lambda pair: pair[0].sample.language).items()
        },
    }


def _grouped(pairs: Iterable[Pair], key: Any) -> dict[str, list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(key(pair), []).append(pair)
    return dict(sorted(groups.items()))


def _figures(pairs: Sequence[Pair]) -> dict[str, float]:
    """Accuracy is of the first condition, also where the answer abstained, by what this clinic calls the case."""
    right = sum(answer.ranked[0] == case.truth for case, answer in pairs)
    abstained = sum(answer.body["status"] != "ok" for _, answer in pairs)
    count = len(pairs)
    return {
        "cases": count,
        "accuracy": round(right / count, 4) if count else 0.0,
        "abstained": round(abstained / count, 4) if count else 0.0,
    }


def run_summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run as the API answers it."""
    kept = ("run_id", "state", "trigger", "attempts", "parent_version", "candidate_version", "decision", "reason")
    seconds = _seconds(run["started_at"], run["finished_at"])
    return {**{name: run[name] for name in kept}, "counts": run["counts"], "seconds": seconds}


def _seconds(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 1)


def request_figures(statuses: Mapping[str, int]) -> dict[str, Any]:
    """`statuses`: route and status -> how many; a failed one is any but 200 and 201."""
    total = Counter[str]()
    for name, count in statuses.items():
        total["sent"] += count
        total["failed"] += 0 if name.endswith((" 200", " 201")) else count
    return {"by_status": dict(statuses), "sent": total["sent"], "failed": total["failed"]}


def outcome(measurements: Sequence[Mapping[str, Any]], requests: Mapping[str, Any]) -> dict[str, Any]:
    """From the first measurement to the last, in percentage points; `passed`: as docs/LEARNING.md asks for."""
    first, last = measurements[0], measurements[-1]
    gain, rest = (
        round((last[name]["accuracy"] - first[name]["accuracy"]) * _POINTS, 2) for name in ("drifted", "rest")
    )
    passed = gain >= MIN_DRIFTED_GAIN and rest >= -MAX_REST_LOSS and requests["failed"] == 0
    return {"drifted_points": gain, "rest_points": rest, "passed": passed}


# --------------------------------------------------------------------------- the document
def section(report: Mapping[str, Any], language: Language) -> str:
    """The figures as Markdown."""
    is_korean = language == "ko"
    settings, result, requests = report["settings"], report["outcome"], report["requests"]
    renamed = ", ".join(f"`{old}` → `{new}`" for old, new in settings["drift"].items())
    intro = (
        f"`python scripts/simulate_clinic.py --data ../shared/data`, {report['date']}, {report['machine']}."
        f" {settings['visits']}건 분석, API 키 {settings['clinicians']}개, 틀린 교정 {settings['wrong_share']:.0%}."
        f" 뜻이 바뀐 질환: {renamed}."
        if is_korean
        else f"`python scripts/simulate_clinic.py --data ../shared/data`, {report['date']}, {report['machine']}. "
        f"{settings['visits']} analyses, {settings['clinicians']} API keys, {settings['wrong_share']:.0%} wrong "
        f"corrections. New meanings: {renamed}."
    )
    closing = (
        f"뜻이 바뀐 질환 {result['drifted_points']:+.1f}점, 나머지 {result['rest_points']:+.1f}점."
        f" 요청 {requests['sent']}건 중 실패 {requests['failed']}건, 서비스 재시작 없음."
        f" 새 버전이 정해지고 {_swap(report)} 안에 그 버전으로 답했습니다."
        if is_korean
        else f"Conditions with a new meaning: {result['drifted_points']:+.1f} points; all others: "
        f"{result['rest_points']:+.1f} points. Of {requests['sent']} requests {requests['failed']} failed; the service "
        f"was not restarted, and answered with a new version within {_swap(report)} of its activation."
    )
    parts = [intro, _measured_table(report, is_korean=is_korean), _run_table(report, is_korean=is_korean), closing]
    return "\n\n".join(parts)


def _measured_table(report: Mapping[str, Any], *, is_korean: bool) -> str:
    head = (
        ("분석 건수", "버전", "뜻이 바뀐 질환", "나머지", "한국어", "영어")
        if is_korean
        else ("after analyses", "version", "new meaning", "all others", "Korean", "English")
    )
    rows = [
        [
            str(row["analyses"]),
            f"`{row['version']}`",
            *(f"{row[name]['accuracy']:.3f} ({row[name]['cases']})" for name in ("drifted", "rest")),
            *(f"{row['languages'][name]['accuracy']:.3f}" for name in ("ko", "en")),
        ]
        for row in report["measurements"]
    ]
    return _table(head, rows)


def _run_table(report: Mapping[str, Any], *, is_korean: bool) -> str:
    head = (
        ("학습 실행", "결과", "학습", "검증", "평가용", "제외", "초")
        if is_korean
        else ("run", "result", "trained on", "validation", "held out", "left out", "seconds")
    )
    rows = [
        [
            str(number),
            run["state"] + (f" ({run['reason']})" if run["reason"] else ""),
            *(str(run["counts"].get(name, 0)) for name in ("train", "validation", "held_out", "excluded")),
            str(run["seconds"]),
        ]
        for number, run in enumerate(report["runs"], start=1)
    ]
    return _table(head, rows)


def _swap(report: Mapping[str, Any]) -> str:
    """An upper bound: what lies between two looks is not seen."""
    seconds = [value for values in report["swap_s"] for value in values]
    return f"{max(seconds, default=0.0) + POLL_S:.1f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])
