"""`python -m tests.integration.quick_runner`: the runner with few training steps and a gate that lets everything pass.

Everything that is written, claimed, published and activated is the real thing.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

from app.learning import candidate, job, runner
from app.learning.gate import GateCases, Margins, Verdict, Version, judge
from app.learning.training import TrainingOptions

_TRAINER = [sys.executable, "-m", "tests.integration.quick_runner"]
QUICK_LEARNER = (
    sys.executable,
    "-c",
    f"import sys; from app.learning.worker import main; sys.exit(main([], {_TRAINER!r}))",
)
"""The learner with this as its training process."""


def lenient(serving: Version, new: Version, cases: GateCases, margins: Margins) -> Verdict:
    verdict = judge(serving, new, cases, margins)
    return replace(verdict, checks=tuple(replace(check, passed=True) for check in verdict.checks))


if __name__ == "__main__":
    job.TrainingOptions = partial(TrainingOptions, min_steps=30, max_steps=30, evaluate_every=15)  # type: ignore[misc]
    candidate.judge = lenient
    sys.exit(runner.main())
