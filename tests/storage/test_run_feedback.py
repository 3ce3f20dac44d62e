"""What a caller is told became of a verdict."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from app.adaptation import FeedbackRole, FeedbackUse, RunState
from app.domain import Feedback
from app.errors import NotFoundError
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.runs import RunRepository
from app.storage.schema import FeedbackRow
from tests.storage.learning_samples import CANDIDATE, PARENT, StandingClock, claimed, ended, use, verdict
from tests.storage.samples import analysis, evidence, give


def test_an_unknown_row_is_not_found(runs: RunRepository):
    with pytest.raises(NotFoundError, match="feedback_not_found"):
        runs.feedback("fb_unknown")


def test_a_new_verdict_waits(database: Database, runs: RunRepository):
    row = verdict(database, caller="c" * 64)
    progress = runs.feedback(row)
    assert (progress.feedback_id, progress.caller, progress.outcome) == (row, "c" * 64, "waiting")
    assert (progress.reason, progress.run_id, progress.version, progress.role) == (None, None, None, None)


@pytest.mark.parametrize("role", ["train", "validation", "held_out"])
def test_a_row_that_the_active_run_uses_is_in_training(role: FeedbackRole, database: Database, runs: RunRepository):
    row = verdict(database)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", PARENT, [use(row, role)], {})
    progress = runs.feedback(row)
    assert (progress.outcome, progress.run_id, progress.role) == ("in_training", run_id, role)


@pytest.mark.parametrize("role", ["train", "validation", "held_out"])
def test_a_promoted_row_names_its_version(role: FeedbackRole, database: Database, runs: RunRepository):
    row = verdict(database)
    run_id = ended(runs, [use(row, role)])
    progress = runs.feedback(row)
    assert (progress.outcome, progress.run_id, progress.version) == ("promoted", run_id, CANDIDATE)
    assert (progress.role, progress.reason) == (role, None)


def test_a_rejected_row_says_why(database: Database, runs: RunRepository):
    row = verdict(database)
    run_id = ended(runs, [use(row)], "rejected")
    progress = runs.feedback(row)
    assert (progress.outcome, progress.run_id, progress.version) == ("rejected", run_id, None)
    assert progress.reason == "gate_accuracy"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_rows_of_a_run_that_came_to_nothing_wait_again(state: RunState, database: Database, runs: RunRepository):
    row = verdict(database)
    ended(runs, [use(row)], state)
    assert runs.feedback(row).outcome == "waiting"


@pytest.mark.parametrize("state", ["promoted", "rejected"])
def test_an_excluded_row_waits_on_and_says_why(state: RunState, database: Database, runs: RunRepository):
    used, left_out = verdict(database), verdict(database)
    run_id = ended(runs, [use(used), FeedbackUse(left_out, "excluded", 0.0, "contradicted")], state)
    progress = runs.feedback(left_out)
    assert (progress.outcome, progress.reason, progress.run_id) == ("unusable", "contradicted", run_id)
    assert states(database)[left_out] == "waiting"
    assert states(database)[used] == state


def test_a_row_that_a_later_run_can_use_is_not_unusable_any_more(
    database: Database, runs: RunRepository, clock: StandingClock
):
    row, other = verdict(database), verdict(database)
    ended(runs, [use(other), FeedbackUse(row, "excluded", 0.0, "other_encoder")])
    clock.advance(1)
    run_id = claimed(runs).run_id
    runs.select(run_id, "w1", CANDIDATE, [use(row)], {"train": 1})
    assert (runs.feedback(row).outcome, runs.feedback(row).run_id) == ("in_training", run_id)


@pytest.mark.parametrize("state", ["promoted", "rejected"])
def test_a_row_stays_what_the_first_run_made_of_it(
    state: RunState, database: Database, runs: RunRepository, clock: StandingClock
):
    row = verdict(database)
    first = ended(runs, [use(row)])
    clock.advance(1)
    ended(runs, [use(row, "held_out")], state, parent=CANDIDATE, candidate="2" * 12)
    progress = runs.feedback(row)
    assert (progress.outcome, progress.run_id, progress.version) == ("promoted", first, CANDIDATE)


def given_without_an_analysis(database: Database) -> str:
    return give(FeedbackRepository(database)).feedback_id


def unknown_correction(database: Database) -> str:
    row = verdict(database, condition_id="panic_disorder")
    with database.writing() as session:
        session.execute(update(FeedbackRow).values(corrected_condition_id=None, flagged_unknown=True))
    return row


def wrong_without_a_correction(database: Database) -> str:
    row = verdict(database)
    with database.writing() as session:
        session.execute(update(FeedbackRow).values(is_correct=False))
    return row


def confirmed_abstention(database: Database) -> str:
    case = analysis(status="insufficient_evidence")
    AnalysisRepository(database).add(case, evidence(), text=None)
    return give(FeedbackRepository(database), Feedback(is_correct=True, analysis_id=case.analysis_id)).feedback_id


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (given_without_an_analysis, "no_analysis"),
        (unknown_correction, "unknown_label"),
        (wrong_without_a_correction, "no_label"),
        (confirmed_abstention, "no_label"),
    ],
)
def test_what_no_run_could_use_is_said_before_any_run(make, reason: str, database: Database, runs: RunRepository):
    progress = runs.feedback(make(database))
    assert (progress.outcome, progress.reason, progress.run_id) == ("unusable", reason, None)


def test_a_correction_of_an_abstention_can_be_learnt_from(database: Database, runs: RunRepository):
    assert runs.feedback(verdict(database, condition_id="panic_disorder")).outcome == "waiting"


def states(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return {row.id: row.state for row in session.query(FeedbackRow)}
