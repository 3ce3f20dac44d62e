"""kill -9 at every step of the loop: verdicts are written, learnt from, judged and put into service all the while.

Moments are drawn within a step rather than over time: publishing a version and switching the pointer take milliseconds
of minutes, and are where a kill would hurt.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import func, select

from app.adaptation import TERMINAL_STATES, LearningRun
from app.errors import AppError
from app.evaluation.chaos_clients import FEEDBACK, Clients, Given
from app.evaluation.chaos_site import Site
from app.storage.schema import FeedbackRow
from app.training.samples import Sample

STEPS: dict[str, float] = {
    "writing": 1.0,
    "starting": 2.0,
    "selecting": 0.5,
    "training": 8.0,
    "calibrating": 1.0,
    "gating": 3.0,
    "publishing": 0.15,
    "deciding": 0.1,
    "swapping": 1.5,
}
"""Step -> the kill comes within so many seconds of its beginning. starting: of the processes killed last; deciding: the
decision stands, the pointer is switched and the run ended; swapping: the pointer was switched."""
TARGETS = ("service", "learner", "trainer", "both")
_LOOK_S = 0.01
_SETTLE_S = 900.0


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """`step_s`: a step that does not come within this time is not waited for, the kill comes anyhow."""

    kills: int = 50
    steps: tuple[str, ...] = tuple(STEPS)
    clients: int = 2
    step_s: float = 240.0
    seed: int = 0


@dataclass
class Chaos:
    """What happened."""

    kills: list[tuple[str, str]] = field(default_factory=list)
    """(step, target)."""
    missed_steps: int = 0
    pointer_reads: int = 0
    versions: list[str] = field(default_factory=list)
    """That the pointer named, one after the other."""
    troubles: list[str] = field(default_factory=list)
    """What must not be."""


def run_chaos(site: Site, cases: Sequence[Sample], options: ChaosOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """The report; `troubles` in it is empty where everything held. RuntimeError where a process does not come back."""
    chaos, started = Chaos(), time.monotonic()
    clients = Clients(site.url, cases, options.clients)
    site.start()
    site.wait_ready()
    with _PointerWatch(site, chaos):
        clients.start()
        _kill_again_and_again(site, clients, chaos, options, say)
        site.start()
        site.wait_ready()
        clients.stop()
        _settle(site, chaos)
    _check(site, clients.given, chaos)
    return _report(site, clients.given, chaos, time.monotonic() - started)


class _PointerWatch:
    """Reads the pointer all the time: it must be whole at every moment, and name a whole version."""

    def __init__(self, site: Site, chaos: Chaos) -> None:
        self._site = site
        self._chaos = chaos
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_S):
            try:
                version = self._site.registry.active().version
                if not self._chaos.versions or self._chaos.versions[-1] != version:
                    self._site.registry.verify(version)
                    self._chaos.versions.append(version)
            except AppError as error:
                self._chaos.troubles.append(f"pointer: {error}")
            self._chaos.pointer_reads += 1


# --------------------------------------------------------------------------- kills
def _kill_again_and_again(
    site: Site, clients: Clients, chaos: Chaos, options: ChaosOptions, say: Callable[[str], None]
) -> None:
    moments = random.Random(options.seed)  # noqa: S311 - when to kill
    steps: list[str] = []
    for number in range(1, options.kills + 1):
        steps = steps or moments.sample(options.steps, len(options.steps))
        step = steps.pop()
        if not _await(site, step, chaos, clients, options.step_s):
            chaos.missed_steps += 1
        time.sleep(moments.uniform(0.0, STEPS[step]))
        target = _kill(site, moments.choice(TARGETS))
        chaos.kills.append((step, target))
        run = site.runs.active()
        say(f"{number}: {target} killed while {step}; run {'none' if run is None else run.state}")
        _look_at_pointer(site, chaos)
        site.start()
        if step != "starting" and target in {"service", "both"}:
            site.wait_ready()


def _await(site: Site, step: str, chaos: Chaos, clients: Clients, step_s: float) -> bool:
    """Whether the step has begun."""
    before = len(chaos.versions)
    deadline = time.monotonic() + step_s
    while time.monotonic() < deadline:
        clients.check()
        if _has_begun(site, step, len(chaos.versions) > before):
            return True
        time.sleep(_LOOK_S)
    return False


def _has_begun(site: Site, step: str, is_switched: bool) -> bool:
    if step in {"writing", "starting"}:
        return True
    if step == "swapping":
        return is_switched
    if step == "publishing":
        return any(site.settings.versions_dir.glob(".staging-*"))
    run = site.runs.active()
    if run is None:
        return False
    if step == "deciding":
        return run.decision is not None
    if run.lease_owner is None or run.decision is not None:
        return False
    if step == "gating":
        return run.state == "gating"
    return run.progress is not None and run.progress.step == step


def _kill(site: Site, target: str) -> str:
    """What was killed: the learner where there is no trainer."""
    if target == "trainer":
        if site.kill_trainer():
            return target
        target = "learner"
    if target in {"learner", "both"}:
        site.learner.kill()
    if target in {"service", "both"}:
        site.service.kill()
    return target


def _look_at_pointer(site: Site, chaos: Chaos) -> None:
    try:
        site.pointer_version()
    except AppError as error:
        chaos.troubles.append(f"after a kill: {error}")


# --------------------------------------------------------------------------- what must be
def _settle(site: Site, chaos: Chaos) -> None:
    """The active run comes to its end, no further one is opened, and the service serves what the pointer names."""
    site.learner.stop()
    site.learner.start(LEARNING_MIN_FEEDBACK="100000")
    deadline = time.monotonic() + _SETTLE_S
    while (run := site.runs.active()) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    if run is not None:
        chaos.troubles.append(f"a run does not end: {run.state}")
    while (state := site.learning())["serving_version"] != site.pointer_version() and time.monotonic() < deadline:
        time.sleep(0.1)
    if state["serving_version"] != site.pointer_version():
        chaos.troubles.append("the service does not serve the active version")


def _check(site: Site, given: Given, chaos: Chaos) -> None:
    _check_feedback(site, given, chaos)
    chaos.troubles += [f"{run.run_id} is {run.state}" for run in _runs(site) if run.state not in TERMINAL_STATES]
    site.learner.stop()
    site.service.stop()
    verified = site.command("-m", "app.verify")
    if verified.returncode != 0:
        chaos.troubles.append(f"verify: {verified.stdout}{verified.stderr}")
    if left := list(site.settings.versions_dir.glob(".staging-*")):
        chaos.troubles.append(f"{len(left)} staging folders are left")


def _check_feedback(site: Site, given: Given, chaos: Chaos) -> None:
    """Every verdict that got its 201 is there once, under the id that was told; no other one is there."""
    ids = [feedback_id for _, feedback_id in given.feedback.values()]
    with site.database.reading() as session:
        stored = set(session.scalars(select(FeedbackRow.id)))
        rows = session.scalar(select(func.count()).select_from(FeedbackRow))
        keys = session.scalar(select(func.count(FeedbackRow.idempotency_key.distinct())))
    if missing := set(ids) - stored:
        chaos.troubles.append(f"{len(missing)} verdicts were answered and are not there")
    if not len(ids) == len(set(ids)) == rows == keys:
        chaos.troubles.append(f"{len(ids)} verdicts were answered; rows: {rows}, keys: {keys}")
    with httpx.Client(base_url=site.url, timeout=60.0) as http:
        for key, (body, feedback_id) in given.feedback.items():
            again = http.post(FEEDBACK, json=body, headers={"Idempotency-Key": key})
            if again.status_code != httpx.codes.CREATED or again.json()["feedback_id"] != feedback_id:
                chaos.troubles.append(f"asked again, a verdict is answered with {again.status_code}")


def _runs(site: Site) -> tuple[LearningRun, ...]:
    return site.runs.recent(10_000)


def _report(site: Site, given: Given, chaos: Chaos, seconds: float) -> dict[str, Any]:
    runs = _runs(site)
    return {
        "seconds": round(seconds),
        "kills": len(chaos.kills),
        "by_step": dict(Counter(step for step, _ in chaos.kills)),
        "by_target": dict(Counter(target for _, target in chaos.kills)),
        "missed_steps": chaos.missed_steps,
        "feedback": {"answered": len(given.feedback), "after_a_lost_answer": given.replays},
        "statuses": dict(sorted(given.statuses.items())),
        "runs": dict(Counter(run.state if run.reason is None else f"{run.state}: {run.reason}" for run in runs)),
        "attempts": dict(sorted(Counter(str(run.attempts) for run in runs).items())),
        "pointer": {"reads": chaos.pointer_reads, "versions": len(chaos.versions)},
        "troubles": chaos.troubles,
    }


def report_text(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=1, ensure_ascii=False) + "\n"
