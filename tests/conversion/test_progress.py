"""Share done, and the time that is left."""

from __future__ import annotations

import io

import pytest

from app.conversion.progress import ConsoleProgress, Meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_measure_over_all_stages():
    clock = Clock()
    meter = Meter(clock)
    meter.plan({"embedding": 100, "decoder": 300})
    meter.stage("embedding", 10)
    meter.advance(5)
    assert meter.share == pytest.approx(50 / 400)
    meter.advance(5)
    meter.stage("decoder", 1000)
    assert meter.share == pytest.approx(0.25)
    clock.now += 30
    meter.advance(500)
    assert meter.share == pytest.approx(250 / 400)
    assert meter.elapsed_s == 30
    assert meter.left_s == pytest.approx(150 * 30 / 250)


def test_work_of_an_earlier_run_is_done_but_not_fast():
    clock = Clock()
    meter = Meter(clock)
    meter.plan({"decoder": 100})
    meter.stage("decoder", 100)
    meter.skip(60)
    assert meter.left_s is None
    clock.now += 10
    assert meter.left_s is None
    meter.advance(10)
    assert meter.share == pytest.approx(0.7)
    assert meter.left_s == pytest.approx(30)  # 10 in 10 s, 30 to go


def test_a_stage_that_was_not_planned_is_its_own():
    meter = Meter(Clock())
    meter.plan({"decoder": 100})
    meter.stage("decoder", 10)
    meter.advance(10)
    meter.stage("other", 4)
    meter.advance(1)
    assert meter.share == pytest.approx(0.25)


def run(stream: io.StringIO) -> str:
    """100 s of a decoder of four layers, a step every second."""
    clock = Clock()
    progress = ConsoleProgress(stream, clock)
    progress.plan({"decoder": 90, "hashing": 10})
    progress.stage("decoder", 100)
    for step in range(100):
        if step % 25 == 0:
            progress.detail(f"layer {step // 25 + 1}/4")
        clock.now += 1
        progress.advance(1)
    progress.stage("hashing", 5)
    progress.advance(5)
    progress.close()
    return stream.getvalue()


def test_a_log_gets_a_line_every_ten_seconds():
    lines = run(io.StringIO()).splitlines()
    assert 10 <= len(lines) <= 14
    assert lines[0] == "  0 %  decoder  (0:00 so far)"
    assert "  9 %  decoder layer 1/4  (0:10 so far, 1:41 left)" in lines
    assert any("decoder layer 3/4" in line for line in lines)
    assert lines[-1].startswith("100 %  hashing")
    assert "\r" not in "".join(lines)


def test_a_terminal_gets_one_line():
    text = run(Terminal())
    assert text.count("\n") == 1
    assert text.endswith("\n")
    states = text.split("\r\x1b[K")
    assert len(states) > 100
    assert states[60].startswith(" 53 %  decoder layer 3/4")
