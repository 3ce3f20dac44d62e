"""`python -m app.evaluation.chaos_trainer`: the training process with an open gate, and few steps if it is told so.

What is claimed, trained, written, published and activated is the real thing. The gate looks and lets every candidate
pass: that versions are published and put into service, again and again, is what the kills are to meet.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from typing import Any


def chaos_learner(steps: int) -> tuple[str, ...]:
    """The learner with this as its training process; `steps` of training, 0: as many as always."""
    trainer = [sys.executable, "-m", "app.evaluation.chaos_trainer", "--steps", str(steps)]
    code = f"import sys; from app.learning.worker import main; sys.exit(main([], {trainer!r}))"
    return (sys.executable, "-c", code)


def main() -> int:
    """The exit status of the training process."""
    from app.learning import candidate, job, runner
    from app.learning.gate import Verdict, judge
    from app.learning.training import TrainingOptions

    def open_gate(*asked: Any, **named: Any) -> Verdict:
        verdict = judge(*asked, **named)
        return replace(verdict, checks=tuple(replace(check, passed=True) for check in verdict.checks))

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=0)
    asked, others = parser.parse_known_args()
    vars(candidate)["judge"] = open_gate
    if asked.steps:
        few = partial(TrainingOptions, min_steps=asked.steps, max_steps=asked.steps, evaluate_every=asked.steps // 2)
        vars(job)["TrainingOptions"] = few
    return runner.main(others)


if __name__ == "__main__":
    sys.exit(main())
