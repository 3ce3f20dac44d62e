"""kill -9 of service, learner and training process while verdicts are written, learnt from and put into service.

A handful of kills; scripts/chaos.py does the same with fifty and whole training runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.evaluation.chaos import ChaosOptions, run_chaos
from app.evaluation.chaos_cases import phrasebook_cases, reduced_learning_sets
from app.evaluation.chaos_site import Site
from app.evaluation.chaos_trainer import chaos_learner
from app.settings import Settings

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

STEPS = ("training", "publishing", "deciding", "swapping")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("embedded_pair")
def test_nothing_is_lost_doubled_or_half_done_by_kill_9(tmp_path: Path) -> None:
    settings = {
        "LEARNING_MIN_FEEDBACK": "8",
        "LEARNING_POLL_S": "0.2",
        "LEARNING_LEASE_S": "2",
        "LEARNING_DATA_PATH": str(tmp_path / "learning"),
    }
    reduced_learning_sets(Settings(_env_file=None), tmp_path / "learning", 40)
    with Site(tmp_path, settings, chaos_learner(30)) as site:
        options = ChaosOptions(kills=len(STEPS), steps=STEPS, step_s=60.0)
        report = run_chaos(site, phrasebook_cases(), options, print)
    print(report)
    assert report["troubles"] == []
    assert report["kills"] == len(STEPS)
    assert report["missed_steps"] == 0
    assert report["feedback"]["answered"] >= 16
    assert report["runs"].get("promoted", 0) >= 1
    assert report["pointer"]["versions"] >= 2
