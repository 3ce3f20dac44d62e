from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pytest

from app.adaptation import QueuedFeedback
from app.domain import Feedback, Source
from app.storage import feedback_queue
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from app.storage.feedback_queue import FeedbackQueue
from app.storage.runs import RunRepository
from tests.storage.learning_samples import CANDIDATE, PARENT, claimed, ended, use, verdict
from tests.storage.samples import QUOTE, analysis, evidence, give

SERVED = {"omni/text": "a" * 64, "omni/image": "a" * 64, "medical/text": "b" * 64}


@pytest.fixture
def queue(database: Database) -> FeedbackQueue:
    return FeedbackQueue(database)


def ids(rows: tuple[QueuedFeedback, ...]) -> list[str]:
    return [row.feedback_id for row in rows]


def test_rows_come_in_the_order_in_which_they_were_given(database: Database, queue: FeedbackQueue):
    given = [verdict(database) for _ in range(4)]
    assert ids(queue.waiting()) == given
    assert queue.learnt((CANDIDATE,)) == ()


def test_a_row_tells_what_there_is_to_learn(database: Database, queue: FeedbackQueue):
    verdict(database, caller="c" * 64)
    verdict(database, condition_id="panic_disorder")
    confirmed, corrected = queue.waiting()
    assert (confirmed.caller, confirmed.is_correct, confirmed.has_correction) == ("c" * 64, True, False)
    assert confirmed.shown_condition_id == "acute_myocardial_infarction"
    assert confirmed.encoders == SERVED
    assert (corrected.caller, corrected.is_correct, corrected.has_correction) == ("", False, True)
    assert corrected.corrected_condition_id == "panic_disorder"


def test_a_row_without_an_analysis_or_with_an_unknown_correction_is_there_too(database: Database, queue: FeedbackQueue):
    given = Feedback(is_correct=False, query="q", prediction="p", corrected_diagnosis="Gulf War syndrome")
    give(FeedbackRepository(database), given)
    (row,) = queue.waiting()
    assert (row.analysis_id, row.shown_condition_id, row.encoders) == (None, None, {})
    assert (row.corrected_condition_id, row.has_correction) == (None, True)


def test_an_abstention_shows_no_condition(database: Database, queue: FeedbackQueue):
    case = analysis(status="insufficient_evidence")
    AnalysisRepository(database).add(case, evidence(), text=None)
    give(FeedbackRepository(database), Feedback(is_correct=True, analysis_id=case.analysis_id))
    (row,) = queue.waiting()
    assert (row.analysis_id, row.shown_condition_id) == (case.analysis_id, None)


def test_promoted_rows_are_learnt_and_rejected_ones_are_neither(database: Database, queue: FeedbackQueue):
    promoted, rejected, waiting = (verdict(database) for _ in range(3))
    runs = RunRepository(database)
    ended(runs, [use(promoted)], "promoted")
    ended(runs, [use(rejected)], "rejected")
    assert ids(queue.learnt((CANDIDATE,))) == [promoted]
    assert queue.learnt(("2" * 12,)) == (), "of a version that was rolled back"
    assert ids(queue.waiting()) == [waiting]
    assert queue.learnt((CANDIDATE,))[0].encoders == SERVED


def test_no_word_of_anybody_leaves_the_database(database: Database, queue: FeedbackQueue):
    case = analysis()
    AnalysisRepository(database).add(case, evidence(), text=QUOTE)
    given = Feedback(
        is_correct=False, analysis_id=case.analysis_id, comments="환자 김철수", corrected_diagnosis="심근염"
    )
    give(FeedbackRepository(database), given)
    told = repr((queue.waiting(), queue.cases([case.analysis_id])))
    assert not any(word in told for word in (QUOTE, "김철수", "심근염", "열은 없어요"))


def test_a_case_is_what_was_stored_without_its_words(database: Database, queue: FeedbackQueue):
    case, seen = analysis(), evidence(3)
    AnalysisRepository(database).add(case, seen, text=QUOTE)
    stored = queue.cases([case.analysis_id])[case.analysis_id]
    assert (stored.analysis_id, stored.encoders) == (case.analysis_id, SERVED)
    assert [item.source for item in stored.evidence.embeddings] == [item.source for item in seen.embeddings]
    for mine, given in zip(stored.evidence.embeddings, seen.embeddings, strict=True):
        np.testing.assert_array_equal(mine.vector, given.vector)
    assert asdict(stored.evidence.patient) == asdict(seen.patient)
    assert [item.finding_id for item in stored.evidence.findings] == [item.finding_id for item in seen.findings]
    assert stored.evidence.red_flags == seen.red_flags


def test_cases_are_read_in_parts_and_missing_ones_left_out(
    database: Database, queue: FeedbackQueue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feedback_queue, "_CHUNK", 3)
    cases = [analysis() for _ in range(7)]
    for seed, case in enumerate(cases):
        AnalysisRepository(database).add(case, evidence(seed, images=0), text=None)
    asked = [case.analysis_id for case in cases]
    found = queue.cases([*asked, "an_gone", asked[0]])
    assert sorted(found) == sorted(asked)
    for seed, name in enumerate(asked):
        np.testing.assert_array_equal(found[name].evidence.embeddings[0].vector, evidence(seed).embeddings[0].vector)
    assert queue.cases([]) == {}


def test_more_cases_than_a_statement_takes_values(sqlite_database: Database):
    case = analysis()
    AnalysisRepository(sqlite_database).add(case, evidence(), text=None)
    asked = [*(f"an_{number}" for number in range(40_000)), case.analysis_id]
    assert list(FeedbackQueue(sqlite_database).cases(asked)) == [case.analysis_id]


def test_a_queued_row_has_no_field_for_words():
    words = {"query", "prediction", "comments", "corrected_diagnosis", "text"}
    assert not words & {item.name for item in fields(QueuedFeedback)}
    assert all(source.value in SERVED for source in (Source.OMNI_TEXT, Source.OMNI_IMAGE, Source.MEDICAL_TEXT))


def test_rows_of_rejected_runs_are_tried_again_but_not_for_ever(database: Database):
    runs, queue = RunRepository(database), FeedbackQueue(database)
    row = verdict(database)
    for attempt in range(3):
        assert [item.feedback_id for item in (queue.waiting() or queue.rejected(3))] == [row]
        run = claimed(runs, f"w{attempt}")
        runs.select(run.run_id, f"w{attempt}", PARENT, [use(row)], {})
        assert runs.feedback(row).outcome == "in_training"
        runs.decide(run.run_id, f"w{attempt}", "reject", "gate_failed", None, {})
        runs.finish(run.run_id, f"w{attempt}", "rejected", "gate_failed")
        assert runs.feedback(row).outcome == "rejected"
        assert queue.waiting() == ()
    assert queue.rejected(3) == ()


def test_a_later_promotion_settles_what_was_rejected_before(database: Database):
    runs, queue = RunRepository(database), FeedbackQueue(database)
    row = verdict(database)
    for owner, decision in (("w1", "reject"), ("w2", "promote")):
        run = claimed(runs, owner)
        runs.select(run.run_id, owner, PARENT, [use(row)], {})
        runs.decide(run.run_id, owner, decision, None, CANDIDATE if decision == "promote" else None, {})
        runs.finish(run.run_id, owner, "promoted" if decision == "promote" else "rejected", None)
    progress = runs.feedback(row)
    assert (progress.outcome, progress.version) == ("promoted", CANDIDATE)
    assert [item.feedback_id for item in queue.learnt((CANDIDATE,))] == [row]
    assert queue.rejected(3) == ()
