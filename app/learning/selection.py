"""Which feedback a run learns from, and how much of each row counts.

Protection against mistaken and malicious verdicts, in this order:

* a row that names no stored case, no known label, or embeddings of another encoder revision is left out
  (`app.services.usable`);
* the same case (equal evidence, whoever sent it how often) counts once; where verdicts on it disagree, none counts;
* a correction that no other case bears out (the same answer corrected to the same condition) counts for a quarter;
* one API key's rows together count for at most `key_cap` rows; one label's for at most `label_share` of what all
  rows would count for; new rows and rows of earlier runs each;
* held-out and validation rows are set apart by a hash of the case, so a case stays on its side from run to run, unless
  chance leaves a side nearly empty (`_roles`).

Nothing is deleted: what a row was used for, or why not, is recorded with the run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.adaptation import ExclusionReason, FeedbackRole, FeedbackUse, QueuedFeedback, StoredCase
from app.domain import Evidence
from app.services.usable import exclusion_of, label_of

VALIDATION_SHARE = 0.1
_MIN_APART = 2
"""Held-out and validation rows that a run needs at least."""
_MIN_LABEL_ROWS = 5.0
"""What a label may always weigh, however small its share must be."""
_LONE_WEIGHT = 0.25
_REDEFINITION_ROWS = 5
_REDEFINITION_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Limits:
    """See `Settings`: learning_key_cap, learning_label_share, learning_held_out_share, learning_corroboration."""

    key_cap: float = 100.0
    label_share: float = 0.25
    held_out_share: float = 0.2
    corroboration: int = 2


@dataclass(frozen=True, slots=True)
class Example:
    """One case to learn from, with the label that feedback gave it."""

    feedback_id: str
    caller: str
    evidence: Evidence
    label: str
    shown: str | None
    """What was answered."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Redefinition:
    """Cases that the service calls `shown` are `label` here: what `keys` API keys say of `rows` cases."""

    shown: str
    label: str
    rows: int
    keys: int


@dataclass(frozen=True, slots=True)
class Selection:
    """`earlier_*`: of cases that promoted runs have used before."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    held_out: tuple[Example, ...]
    earlier_train: tuple[Example, ...]
    earlier_held_out: tuple[Example, ...]
    redefinitions: tuple[Redefinition, ...]
    uses: tuple[FeedbackUse, ...]
    """Of every waiting row, in its order."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows by role; excluded ones by reason, too."""
        counted = Counter[str](use.role for use in self.uses)
        counted.update(f"excluded_{use.reason}" for use in self.uses if use.reason)
        return dict(counted)


def select(
    waiting: Sequence[QueuedFeedback],
    learnt: Sequence[QueuedFeedback],
    cases: Mapping[str, StoredCase],
    *,
    conditions: Collection[str],
    encoders: Mapping[str, str],
    limits: Limits,
) -> Selection:
    """`waiting`: rows that no promoted run has used; `learnt`: that promoted runs have; `cases`: by analysis id."""
    excluded: dict[str, ExclusionReason] = {}
    usable: list[QueuedFeedback] = []
    for row in waiting:
        reason = exclusion_of(row, conditions, encoders)
        if reason is None and row.analysis_id not in cases:
            reason = "no_analysis"
        if reason is None:
            usable.append(row)
        else:
            excluded[row.feedback_id] = reason
    keys = {name: case_key(case.evidence) for name, case in cases.items()}
    by_case = _grouped(usable, keys)
    kept = _settle(by_case, excluded)
    roles = _roles(list(kept), limits.held_out_share)
    examples = {key: _example(row, cases) for key, row in kept.items()}
    earlier_rows = _grouped(_still_usable(learnt, cases, conditions, encoders), keys)
    earlier = {key: _example(rows[-1], cases) for key, rows in earlier_rows.items() if key not in by_case}
    earlier_roles = {key: _role(key, limits.held_out_share) for key in earlier}
    trained_on = {key: examples[key] for key in kept if roles[key] == "train"}
    trained_again = {key: example for key, example in earlier.items() if earlier_roles[key] == "train"}
    corrections = Counter((e.shown, e.label) for e in (*trained_on.values(), *trained_again.values()))
    examples |= _weighted(trained_on, corrections, limits)
    earlier |= _weighted(trained_again, corrections, limits)
    numbers = {row.feedback_id: key for key, row in kept.items()}
    return Selection(
        train=_having(examples, roles, "train"),
        validation=_having(examples, roles, "validation"),
        held_out=_having(examples, roles, "held_out"),
        earlier_train=_having(earlier, earlier_roles, "train"),
        earlier_held_out=_having(earlier, earlier_roles, "held_out"),
        redefinitions=_redefinitions(
            [
                *(examples[key] for key in kept if roles[key] != "held_out"),
                *(example for key, example in earlier.items() if earlier_roles[key] != "held_out"),
            ],
            _callers([*by_case.values(), *earlier_rows.values()]),
            limits.corroboration,
        ),
        uses=tuple(_use(row, excluded, numbers, roles, examples) for row in waiting),
    )


def case_key(evidence: Evidence) -> str:
    """SHA-256 over everything that the network sees of a case: equal cases have equal keys."""
    digest = hashlib.sha256()
    for item in evidence.embeddings:
        digest.update(item.source.value.encode())
        digest.update(np.ascontiguousarray(item.vector, "<f4").tobytes())
    findings = sorted((finding.finding_id, finding.status) for finding in evidence.findings)
    digest.update(json.dumps([findings, repr(evidence.patient)]).encode())
    return digest.hexdigest()


# --------------------------------------------------------------------------- one row per case
def _grouped(rows: Iterable[QueuedFeedback], keys: Mapping[str, str]) -> dict[str, list[QueuedFeedback]]:
    """`keys`: analysis id -> `case_key`."""
    groups: dict[str, list[QueuedFeedback]] = defaultdict(list)
    for row in rows:
        groups[keys[row.analysis_id or ""]].append(row)
    return dict(groups)


def _settle(
    by_case: Mapping[str, Sequence[QueuedFeedback]], excluded: dict[str, ExclusionReason]
) -> dict[str, QueuedFeedback]:
    """The first row of each case; fills `excluded` with the others."""
    kept: dict[str, QueuedFeedback] = {}
    for key, rows in by_case.items():
        if len({label_of(row) for row in rows}) > 1:
            excluded.update({row.feedback_id: "contradicted" for row in rows})
            continue
        kept[key] = rows[0]
        excluded.update({row.feedback_id: "duplicate" for row in rows[1:]})
    return kept


def _still_usable(
    learnt: Sequence[QueuedFeedback],
    cases: Mapping[str, StoredCase],
    conditions: Collection[str],
    encoders: Mapping[str, str],
) -> list[QueuedFeedback]:
    return [row for row in learnt if row.analysis_id in cases and exclusion_of(row, conditions, encoders) is None]


def _example(row: QueuedFeedback, cases: Mapping[str, StoredCase]) -> Example:
    label = label_of(row)
    if label is None or row.analysis_id is None:
        raise ValueError("a row without a label or a case is not usable")
    return Example(row.feedback_id, row.caller, cases[row.analysis_id].evidence, label, row.shown_condition_id)


# --------------------------------------------------------------------------- sides
def _role(key: str, held_out_share: float) -> FeedbackRole:
    place = int(key[:8], 16) / 2**32
    if place < held_out_share:
        return "held_out"
    return "validation" if place < held_out_share + VALIDATION_SHARE else "train"


def _roles(keys: Sequence[str], held_out_share: float) -> dict[str, FeedbackRole]:
    """By hash; where chance left a side nearly empty, the cases that lie nearest to it go there."""
    roles = {key: _role(key, held_out_share) for key in keys}
    if len(keys) < 4 * _MIN_APART:
        return roles
    nearest = sorted(keys)
    for role in ("held_out", "validation"):
        missing = _MIN_APART - sum(found == role for found in roles.values())
        for key in [key for key in nearest if roles[key] == "train"][: max(0, missing)]:
            roles[key] = "held_out" if role == "held_out" else "validation"
    return roles


def _having(
    examples: Mapping[str, Example], roles: Mapping[str, FeedbackRole], role: FeedbackRole
) -> tuple[Example, ...]:
    return tuple(example for key, example in examples.items() if roles[key] == role)


# --------------------------------------------------------------------------- weights
def _weighted(
    examples: Mapping[str, Example], corrections: Mapping[tuple[str | None, str], int], limits: Limits
) -> dict[str, Example]:
    """Lone corrections first, then the cap per key, then the one per label. `corrections`: how often each occurs."""
    weights = {key: _LONE_WEIGHT if _is_lone(example, corrections) else 1.0 for key, example in examples.items()}
    per_key = _sums(weights, {key: example.caller for key, example in examples.items()})
    weights = {
        key: weight * min(1.0, limits.key_cap / per_key[examples[key].caller]) for key, weight in weights.items()
    }
    per_label = _sums(weights, {key: example.label for key, example in examples.items()})
    most = max(_MIN_LABEL_ROWS, limits.label_share * sum(weights.values()))
    return {
        key: replace(example, weight=weights[key] * min(1.0, most / per_label[example.label]))
        for key, example in examples.items()
    }


def _is_lone(example: Example, corrections: Mapping[tuple[str | None, str], int]) -> bool:
    return example.shown != example.label and corrections[example.shown, example.label] == 1


def _sums(weights: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """Group -> what its members weigh together."""
    total: dict[str, float] = defaultdict(float)
    for key, weight in weights.items():
        total[groups[key]] += weight
    return total


def _callers(groups: Iterable[Sequence[QueuedFeedback]]) -> dict[str, set[str]]:
    """Feedback id -> the keys that have spoken on its case, also in rows that were collapsed as duplicates."""
    return {row.feedback_id: {other.caller for other in rows} for rows in groups for row in rows}


def _redefinitions(
    examples: Sequence[Example], callers: Mapping[str, set[str]], corroboration: int
) -> tuple[Redefinition, ...]:
    """Conditions of which most cases are corrected to one other condition, by enough keys."""
    shown = Counter(example.shown for example in examples)
    moved: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for example in examples:
        if example.shown is not None and example.shown != example.label:
            moved[example.shown, example.label].append(example)
    found = []
    for (old, new), rows in sorted(moved.items()):
        keys = set[str]().union(*(callers[row.feedback_id] for row in rows))
        many = len(rows) >= _REDEFINITION_ROWS and len(rows) >= _REDEFINITION_SHARE * shown[old]
        if many and len(keys) >= corroboration:
            found.append(Redefinition(old, new, len(rows), len(keys)))
    return tuple(found)


def _use(
    row: QueuedFeedback,
    excluded: Mapping[str, ExclusionReason],
    numbers: Mapping[str, str],
    roles: Mapping[str, FeedbackRole],
    examples: Mapping[str, Example],
) -> FeedbackUse:
    reason = excluded.get(row.feedback_id)
    if reason is not None:
        return FeedbackUse(row.feedback_id, "excluded", 0.0, reason)
    key = numbers[row.feedback_id]
    role = roles[key]
    return FeedbackUse(row.feedback_id, role, examples[key].weight if role == "train" else 0.0)
