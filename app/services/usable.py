"""Which feedback can be learnt from, told row by row. What takes several rows to see is left to a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.adaptation import ExclusionReason, QueuedFeedback


def exclusion_of(
    row: QueuedFeedback, conditions: Collection[str], encoders: Mapping[str, str]
) -> ExclusionReason | None:
    """Why the row cannot be learnt from; None where it can.

    `conditions`: what the network tells apart. `encoders`: "omni" and "medical" -> version that serves.
    """
    if row.analysis_id is None:
        return "no_analysis"
    if row.has_correction and row.corrected_condition_id is None:
        return "unknown_label"
    label = label_of(row)
    if label is None:
        return "no_label"
    if label not in conditions:
        return "unknown_label"
    return None if _is_served(row.encoders, encoders) else "other_encoder"


def label_of(row: QueuedFeedback) -> str | None:
    """The condition that the row names: its correction, else the diagnosis that it confirms.

    None where it names none: says wrong without saying what is right, confirms an answer without a diagnosis, or
    corrects to what the catalogue does not hold.
    """
    if row.has_correction:
        return row.corrected_condition_id
    return row.shown_condition_id if row.is_correct else None


def _is_served(made_by: Mapping[str, str], encoders: Mapping[str, str]) -> bool:
    """Whether every embedding is what the serving encoders would make: `omni/image` belongs to `omni`."""
    return all(encoders.get(source.partition("/")[0]) == version for source, version in made_by.items())
