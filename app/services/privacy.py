"""What is kept of an analysis when texts are not: everything but the patient's own words."""

from __future__ import annotations

from dataclasses import replace

from app.domain import Analysis, Evidence


def without_quotes(analysis: Analysis, evidence: Evidence) -> tuple[Analysis, Evidence]:
    """The same with every quoted span emptied: findings keep their id, name and polarity."""
    return (
        replace(analysis, findings=tuple(replace(finding, quote="") for finding in analysis.findings)),
        replace(evidence, findings=tuple(replace(finding, quote="") for finding in evidence.findings)),
    )
