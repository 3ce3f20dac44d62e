from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.adaptation import QueuedFeedback, StoredCase
from app.domain import Embedding, Evidence, Finding, Source
from app.learning.selection import Limits, Selection, case_key, select

CONDITIONS = ("gout", "cellulitis", "influenza", "sepsis")
ENCODERS = {"omni": "o1", "medical": "m1"}
START = datetime(2026, 11, 1, tzinfo=UTC)


def case(number: int, encoder: str = "o1") -> StoredCase:
    vector = np.random.default_rng(number).standard_normal(4, dtype=np.float32)
    evidence = Evidence((Embedding(Source.OMNI_TEXT, vector),), (Finding("fever", True, "", 0, 0),))
    return StoredCase(f"an_{number}", evidence, {"omni/text": encoder})


class Queue:
    """Feedback rows and the cases that they are about, as the database would give them."""

    def __init__(self, name: str = "new") -> None:
        self.name = name
        self.rows: list[QueuedFeedback] = []
        self.cases: dict[str, StoredCase] = {}

    def add(
        self, number: int, label: str | None, *, shown: str | None = "gout", caller: str = "a", encoder: str = "o1"
    ) -> str:
        """A verdict on case `number`: a confirmation where `label` is what was shown."""
        stored = case(number, encoder)
        analysis_id = f"an_{self.name}_{len(self.rows)}"
        self.cases[analysis_id] = StoredCase(analysis_id, stored.evidence, stored.encoders)
        corrects = label != shown
        row = QueuedFeedback(
            feedback_id=f"fb_{self.name}_{len(self.rows)}",
            created_at=START + timedelta(seconds=len(self.rows)),
            caller=caller,
            is_correct=not corrects,
            analysis_id=analysis_id,
            shown_condition_id=shown,
            corrected_condition_id=label if corrects else None,
            has_correction=corrects and label is not None,
            encoders=stored.encoders,
        )
        self.rows.append(row)
        return row.feedback_id

    def select(self, limits: Limits | None = None, learnt: Queue | None = None) -> Selection:
        learnt = learnt or Queue("old")
        return select(
            self.rows,
            learnt.rows,
            {**learnt.cases, **self.cases},
            conditions=CONDITIONS,
            encoders=ENCODERS,
            limits=limits or Limits(),
        )


@pytest.fixture
def queue() -> Queue:
    return Queue()


def reasons(selection: Selection) -> dict[str, str | None]:
    return {use.feedback_id: use.reason for use in selection.uses}


def everything(selection: Selection) -> int:
    return len(selection.train) + len(selection.validation) + len(selection.held_out)


def test_each_row_is_used_once_and_says_for_what(queue: Queue):
    for number in range(200):
        queue.add(number, "gout")
    selection = queue.select()
    assert [use.feedback_id for use in selection.uses] == [row.feedback_id for row in queue.rows]
    assert everything(selection) == 200
    assert len({example.feedback_id for example in selection.train} & {e.feedback_id for e in selection.held_out}) == 0
    assert 20 <= len(selection.held_out) <= 60
    assert 5 <= len(selection.validation) <= 40
    assert selection.counts["held_out"] == len(selection.held_out)


def test_what_cannot_be_learnt_from_is_kept_and_named(queue: Queue):
    unknown = queue.add(1, "no_such_condition")
    stale = queue.add(2, "sepsis", encoder="o0")
    unsaid = queue.add(3, None)
    fine = queue.add(4, "sepsis")
    found = reasons(queue.select())
    assert found == {unknown: "unknown_label", stale: "other_encoder", unsaid: "no_label", fine: None}


def test_a_case_that_was_purged_is_not_used(queue: Queue):
    gone = queue.add(1, "sepsis")
    queue.cases.clear()
    assert reasons(queue.select()) == {gone: "no_analysis"}


def test_the_same_case_counts_once_whoever_sends_it(queue: Queue):
    first = queue.add(7, "sepsis", caller="a")
    again = queue.add(7, "sepsis", caller="b")
    found = reasons(queue.select())
    assert found == {first: None, again: "duplicate"}


def test_verdicts_that_contradict_each_other_count_for_nothing(queue: Queue):
    rows = [queue.add(7, "sepsis"), queue.add(7, "influenza", caller="b"), queue.add(7, "sepsis", caller="c")]
    assert reasons(queue.select()) == dict.fromkeys(rows, "contradicted")


def test_a_case_is_on_the_same_side_whatever_else_waits(queue: Queue):
    for number in range(60):
        queue.add(number, "gout")
    few = {case_key(e.evidence) for e in queue.select().held_out}
    for number in range(60, 120):
        queue.add(number, "gout")
    many = {case_key(e.evidence) for e in queue.select().held_out}
    assert few <= many


def test_a_small_clinic_has_something_held_out_and_something_to_validate_on(queue: Queue):
    for number in range(8):
        queue.add(number, "gout")
    selection = queue.select(Limits(held_out_share=0.01))
    assert len(selection.held_out) == 2
    assert len(selection.validation) >= 2
    assert selection.train


def test_one_key_counts_for_no_more_than_its_cap(queue: Queue):
    for number in range(300):
        queue.add(number, CONDITIONS[number % 4], shown=CONDITIONS[number % 4], caller="loud")
    for number in range(300, 330):
        queue.add(number, CONDITIONS[number % 4], shown=CONDITIONS[number % 4], caller="quiet")
    weights = Counter[str]()
    for example in queue.select(Limits(key_cap=50, label_share=1.0)).train:
        weights[example.caller] += example.weight
    assert weights["loud"] == pytest.approx(50)
    assert weights["quiet"] == sum(1 for e in queue.select().train if e.caller == "quiet")


def test_one_label_has_no_more_than_its_share(queue: Queue):
    for number in range(200):
        queue.add(number, "gout")
    for number in range(200, 220):
        queue.add(number, "sepsis", shown="sepsis")
    train = queue.select(Limits(key_cap=1000, label_share=0.25)).train
    gout = sum(e.weight for e in train if e.label == "gout")
    assert gout == pytest.approx(0.25 * len(train), rel=0.05)
    assert all(e.weight == 1.0 for e in train if e.label == "sepsis")


def test_a_correction_that_nothing_bears_out_counts_for_a_quarter(queue: Queue):
    for number in range(40):
        queue.add(number, "gout")
    for number in range(40, 60):
        queue.add(number, "sepsis")
    lone = queue.add(100, "influenza")
    weights = {use.feedback_id: use.weight for use in queue.select(Limits(label_share=1.0, held_out_share=0.01)).uses}
    assert weights[lone] in {0.25, 0.0}  # 0 where its hash set it apart
    assert max(weights.values()) == 1.0


def test_a_new_local_meaning_needs_several_keys(queue: Queue):
    for number in range(20):
        queue.add(number, "cellulitis", caller=f"clinician {number % 2}")
    (found,) = queue.select(Limits(held_out_share=0.1, corroboration=2)).redefinitions
    assert (found.shown, found.label, found.keys) == ("gout", "cellulitis", 2)
    assert queue.select(Limits(corroboration=3)).redefinitions == ()


def test_a_few_corrections_among_many_confirmations_are_no_new_meaning(queue: Queue):
    for number in range(30):
        queue.add(number, "gout", caller=f"clinician {number % 3}")
    for number in range(30, 40):
        queue.add(number, "cellulitis", caller=f"clinician {number % 3}")
    assert queue.select().redefinitions == ()


def test_what_was_learnt_before_keeps_its_side_and_gives_way_to_a_new_verdict(queue: Queue):
    learnt = Queue("old")
    for number in range(50):
        learnt.add(number, "gout")
    queue.add(3, "sepsis")
    for number in range(100, 120):
        queue.add(number, "gout")
    selection = queue.select(learnt=learnt)
    earlier = {case_key(e.evidence) for e in (*selection.earlier_train, *selection.earlier_held_out)}
    assert selection.earlier_train
    assert selection.earlier_held_out
    assert case_key(case(3).evidence) not in earlier


def test_cases_are_equal_only_where_the_network_sees_the_same():
    assert case_key(case(1).evidence) == case_key(case(1).evidence)
    assert case_key(case(1).evidence) != case_key(case(2).evidence)
    other = Evidence(case(1).evidence.embeddings, (Finding("fever", False, "", 0, 0),))
    assert case_key(case(1).evidence) != case_key(other)


def test_a_meaning_that_comes_in_over_several_runs_is_seen(queue: Queue):
    learnt = Queue("old")
    for number in range(4):
        learnt.add(number, "cellulitis", caller=f"clinician {number % 2}")
    for number in range(10, 14):
        queue.add(number, "cellulitis", caller=f"clinician {number % 2}")
    limits = Limits(held_out_share=0.0)
    assert queue.select(limits).redefinitions == ()
    (found,) = queue.select(limits, learnt).redefinitions
    assert (found.rows, found.keys) == (8, 2)


def test_what_was_learnt_before_is_capped_like_what_is_new(queue: Queue):
    learnt = Queue("old")
    for number in range(200):
        learnt.add(number, CONDITIONS[number % 4], shown=CONDITIONS[number % 4], caller="loud")
    learnt.add(500, "influenza", caller="loud")
    for number in range(1000, 1020):
        queue.add(number, "gout")
    again = queue.select(Limits(key_cap=10, label_share=1.0), learnt).earlier_train
    assert sum(example.weight for example in again if example.caller == "loud") == pytest.approx(10)
    honest = max(example.weight for example in again)
    assert [e.weight for e in again if e.label != e.shown] in ([], [pytest.approx(honest / 4)])
