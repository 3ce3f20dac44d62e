"""Evaluates the red-flag rules of `red_flags.yaml` over findings, vital signs and consciousness."""

from __future__ import annotations

from collections.abc import Iterable

from app.domain import Patient
from app.knowledge.schema import RedFlagClause, RedFlagRule, VitalBound


def raised(rules: Iterable[RedFlagRule], present: frozenset[str], patient: Patient) -> list[RedFlagRule]:
    """The rules that hold, most urgent first. `present`: ids of the findings that the patient has."""
    holding = [rule for rule in rules if any(_holds(clause, present, patient) for clause in rule.when)]
    return sorted(holding, key=lambda rule: (rule.triage, rule.id))


def _holds(clause: RedFlagClause, present: frozenset[str], patient: Patient) -> bool:
    if not present.issuperset(clause.all_of) or not present.isdisjoint(clause.none_of):
        return False
    if clause.any_of and len(present.intersection(clause.any_of)) < clause.at_least:
        return False
    if clause.consciousness and patient.consciousness not in clause.consciousness:
        return False
    if clause.sex is not None and patient.sex != clause.sex:
        return False
    if not all(_out_of_bound(getattr(patient.vitals, name), bound) for name, bound in clause.vitals.items()):
        return False
    return _age_fits(clause, patient.age)


def _out_of_bound(value: float | None, bound: VitalBound) -> bool:
    if value is None:
        return False
    return (bound.below is not None and value < bound.below) or (bound.above is not None and value > bound.above)


def _age_fits(clause: RedFlagClause, age: float | None) -> bool:
    if clause.ages is None:
        return True
    if age is None:
        return clause.age_unknown
    return clause.ages[0] <= age < clause.ages[1]
