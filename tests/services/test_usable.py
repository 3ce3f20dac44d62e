"""Which feedback can be learnt from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.adaptation import QueuedFeedback
from app.services.usable import exclusion_of, label_of

CONDITIONS = {"influenza", "pneumonia"}
ENCODERS = {"omni": "0" * 12, "medical": "1" * 12}
CONFIRMED = QueuedFeedback(
    feedback_id="fb_1",
    created_at=datetime(2026, 11, 21, tzinfo=UTC),
    caller="",
    is_correct=True,
    analysis_id="an_1",
    shown_condition_id="influenza",
    corrected_condition_id=None,
    has_correction=False,
    encoders={"omni/text": "0" * 12, "omni/image": "0" * 12, "medical/text": "1" * 12},
)
CORRECTED = replace(CONFIRMED, is_correct=False, corrected_condition_id="pneumonia", has_correction=True)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (CONFIRMED, "influenza"),
        (CORRECTED, "pneumonia"),
        (replace(CORRECTED, shown_condition_id=None), "pneumonia"),
        (replace(CORRECTED, is_correct=True), "pneumonia"),
        (replace(CONFIRMED, encoders={}), "influenza"),
    ],
)
def test_a_correction_or_a_confirmation_is_a_label(row: QueuedFeedback, label: str) -> None:
    assert label_of(row) == label
    assert exclusion_of(row, CONDITIONS, ENCODERS) is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (replace(CORRECTED, analysis_id=None), "no_analysis"),
        (replace(CONFIRMED, shown_condition_id=None), "no_label"),
        (replace(CONFIRMED, is_correct=False), "no_label"),
        (replace(CORRECTED, corrected_condition_id=None), "unknown_label"),
        (replace(CONFIRMED, corrected_condition_id=None, has_correction=True), "unknown_label"),
        (replace(CORRECTED, corrected_condition_id="scurvy"), "unknown_label"),
        (replace(CONFIRMED, shown_condition_id="scurvy"), "unknown_label"),
        (replace(CORRECTED, encoders={"omni/text": "0" * 12, "medical/text": "2" * 12}), "other_encoder"),
        (replace(CORRECTED, encoders={"omni/image": "1" * 12}), "other_encoder"),
        (replace(CORRECTED, encoders={"elsewhere/text": "0" * 12}), "other_encoder"),
    ],
)
def test_what_cannot_be_learnt_from_says_why(row: QueuedFeedback, reason: str) -> None:
    assert exclusion_of(row, CONDITIONS, ENCODERS) == reason


def test_an_unknown_correction_is_never_taken_for_the_answer_that_was_shown() -> None:
    assert label_of(replace(CONFIRMED, has_correction=True)) is None
