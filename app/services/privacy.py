"""What is kept of an analysis: never a picture, and where texts are not kept, not the patient's own words either."""

from __future__ import annotations

from dataclasses import replace

from app.domain import Analysis, Evidence


def without_quotes(analysis: Analysis, evidence: Evidence) -> tuple[Analysis, Evidence]:
    """The same with every quoted span emptied: findings keep their id, name and polarity."""
    return (
        replace(analysis, findings=tuple(replace(finding, quote="") for finding in analysis.findings)),
        replace(evidence, findings=tuple(replace(finding, quote="") for finding in evidence.findings)),
    )


def without_pictures(analysis: Analysis) -> Analysis:
    """The same without the saliency maps: each of them shows the picture that it explains."""
    return replace(analysis, saliency=())
