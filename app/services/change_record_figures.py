"""Figures of a change record, compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LOWER_IS_BETTER = frozenset({"gate_ece", "triage_under", "specialty_loss", "held_out_log_loss"})


def flat(figures: Mapping[str, Any]) -> dict[str, Any]:
    """{"temperature": {"text": 1.2}} -> {"temperature text": 1.2}"""
    named: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            named |= {f"{name} {kind}": figure for kind, figure in value.items()}
        else:
            named[name] = value
    return named


def change(check: Mapping[str, Any]) -> float | None:
    """Candidate less serving; None where one of the figures is missing."""
    serving, candidate = check.get("serving"), check.get("candidate")
    return None if serving is None or candidate is None else float(candidate) - float(serving)


def gain(check: Mapping[str, Any]) -> float:
    """By how much the candidate is better; 0 where one of the figures is missing."""
    difference = change(check) or 0.0
    return -difference if check.get("name") in _LOWER_IS_BETTER else difference
