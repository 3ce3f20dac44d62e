import json
import threading

import httpx
import pytest

from app.evaluation import swapping
from app.evaluation.swapping import Answer, Load, comparable, mixed_versions, percentiles_ms


def answer(began: float, ended: float, version: str = "a", body: bytes = b"A") -> Answer:
    return Answer(0, began, ended, 200, version, body)


def test_two_answers_compare_without_id_and_times_and_with_everything_else() -> None:
    def body(identifier: str, milliseconds: float, probability: float) -> bytes:
        metadata = {"models": {"fusion": "a"}, "timings_ms": {"fusion": milliseconds}, "set_size": 2}
        document = {"analysis_id": identifier, "differential": [probability], "metadata": metadata}
        return json.dumps(document, separators=(",", ":")).encode()

    assert comparable(body("an_1", 1.5, 0.25)) == comparable(body("an_2", 7.0, 0.25))
    assert comparable(body("an_1", 1.5, 0.25)) != comparable(body("an_1", 1.5, 0.26))


def test_an_answer_that_says_what_its_version_does_not_is_mixed() -> None:
    expected = {("a", 0): b"A", ("b", 0): b"B"}
    good, wrong, unknown = answer(0, 1), answer(0, 1, body=b"B"), answer(0, 1, version="c", body=b"C")
    assert mixed_versions([good, wrong, unknown], expected) == [wrong, unknown]


def test_a_window_holds_what_was_under_way_in_it() -> None:
    answers = [answer(0.0, 1.0), answer(0.9, 3.0), answer(2.5, 2.6), answer(4.0, 5.0)]
    assert percentiles_ms(answers, [(1.5, 2.55)]) == {"answers": 2, "p50_ms": 100.0, "p90_ms": 2100.0, "p99_ms": 2100.0}


def test_a_client_that_meets_what_no_service_should_say_is_not_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def ask(_client: httpx.Client, _case: int) -> Answer:
        asked.set()
        raise ValueError("no JSON")

    monkeypatch.setattr(swapping, "ask", ask)
    with pytest.raises(ValueError, match="no JSON"), Load("http://127.0.0.1:9", 2, (0,)):
        assert asked.wait(10)
