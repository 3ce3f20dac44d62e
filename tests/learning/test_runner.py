"""The runner on the embedded pair's own network and learning sets."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.adaptation import LearningRun
from app.fusion.artifact import load_artifact
from app.learning import job, keeping, runner
from app.learning.runner import main
from app.services.activation import activate_version
from app.storage.audit import AuditLog
from app.storage.database import Database, open_database
from app.storage.runs import RunRepository
from app.training.fitting import score
from app.training.tokens import LabelledTokens
from app.versions.registry import VersionRegistry
from tests.learning.clinic_world import ClinicWorld, runner_environment, shipped, texts_by_condition

PARENT, SETS = shipped()
CALIBRATION = texts_by_condition(SETS.calibration.cases)
GATE = texts_by_condition(SETS.gate.cases)
DRIFTED = [n for n, cases in CALIBRATION.items() if len(cases) >= 10 and len(GATE.get(n, ())) >= 6][:2]


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The runner sets up a process of its own: signals and logs of the one that tests stay as they are."""
    monkeypatch.setattr("app.learning.runner.configure_logging", lambda *_: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClinicWorld]:
    settings = runner_environment(monkeypatch, tmp_path)
    database = open_database(settings.database_url)
    yield ClinicWorld(database, settings, PARENT)
    database.close()


def opened(world: ClinicWorld) -> LearningRun:
    return RunRepository(world.database).open("manual", "", world.settings.run_settings)


def registry(world: ClinicWorld) -> VersionRegistry:
    return VersionRegistry(world.settings.versions_dir, world.settings.fusion_weights_path)


def state(database: Database, run: LearningRun) -> LearningRun:
    return RunRepository(database).get(run.run_id)


def accuracy(version: Path, cases: list[LabelledTokens], labels: list[int]) -> float:
    return float((score(load_artifact(version).network, cases)[0].argmax(1) == np.array(labels)).mean())


def drifting_clinic(world: ClinicWorld) -> dict[int, int]:
    """Three clinicians; two conditions have another name here. Returns what they are called."""
    named = dict(zip(DRIFTED, DRIFTED[1:] + DRIFTED[:1], strict=True))
    number = 0
    for condition, cases in CALIBRATION.items():
        for case in cases if condition in named else cases[:1]:
            world.see(case, named.get(condition, condition), caller=f"clinician {number % 3}")
            number += 1
    return named


def test_a_local_meaning_is_learnt_promoted_and_recorded(world: ClinicWorld):
    named = drifting_clinic(world)
    run = opened(world)
    assert main(["--owner", "first"]) == 0
    ended = state(world.database, run)
    assert (ended.state, ended.reason) == ("promoted", None), ended.report
    version, versions = ended.candidate_version, registry(world)
    assert version is not None
    assert versions.active().version == version
    assert versions.active().run_id == run.run_id
    versions.verify(version)
    assert versions.info(version).parent == PARENT.version
    assert sorted(versions.info(version).settings["redefined"]) == sorted(PARENT.config.conditions[n] for n in DRIFTED)

    drifted = [case for n in DRIFTED for case in GATE[n]]
    meant = [named[case.condition] for case in drifted]
    rest = [case for n, cases in GATE.items() if n not in DRIFTED for case in cases]
    own = [case.condition for case in rest]
    base, folder = world.settings.fusion_weights_path, versions.folder(version)
    assert accuracy(folder, drifted, meant) >= accuracy(base, drifted, meant) + 0.3
    assert accuracy(folder, rest, own) >= accuracy(base, rest, own) - 0.011

    record = json.loads((folder / "change_record.json").read_bytes())
    assert record["decision"] == {"decision": "promote", "reason": None, "failed": []}
    assert record["modification"]["feedback"]["keys"] == 3
    assert {item["from"] for item in record["modification"]["redefinitions"]} <= set(PARENT.config.conditions)
    assert (folder / "adapter/adapter_model.safetensors").stat().st_size > 0
    assert "clinician" not in json.dumps(record)

    log = AuditLog(world.database)
    assert log.verify().first_broken is None
    actions = [entry.action for entry in log.entries()]
    assert actions[-3:] == ["version.activating", "version.activated", "run.promoted"]
    runs = RunRepository(world.database)
    outcomes = {runs.feedback(feedback_id).outcome for feedback_id in world.given}
    assert outcomes == {"promoted"}


def test_flipped_labels_from_one_key_do_no_harm(world: ClinicWorld):
    """200 rows of one key, each labelled with some other condition; 40 honest rows of two others."""
    rng = np.random.default_rng(0)
    every = [case for cases in CALIBRATION.values() for case in cases]
    picked = rng.permutation(len(every))
    for number in picked[:200]:
        case = every[number]
        wrong = int((case.condition + rng.integers(1, len(PARENT.config.conditions))) % len(PARENT.config.conditions))
        world.see(case, wrong, caller="attacker")
    for number in picked[200:240]:
        world.see(every[number], every[number].condition, caller=f"clinician {number % 2}")
    run = opened(world)
    assert main(["--owner", "first"]) == 0
    ended = state(world.database, run)
    versions = registry(world)
    active = versions.folder(versions.active().version)
    cases = [case for cases in GATE.values() for case in cases]
    labels = [case.condition for case in cases]
    lost = accuracy(world.settings.fusion_weights_path, cases, labels) - accuracy(active, cases, labels)
    assert ended.state in {"promoted", "rejected"}
    assert lost <= 0.01
    if ended.state == "rejected":
        assert versions.active().sequence == 0
        assert ended.reason == "gate_failed"
        assert ended.report is not None
        assert ended.report["decision"]["failed"]


def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    real = job.TrainingOptions

    def options(**values: object) -> object:
        return real(**values, min_steps=4, max_steps=4, evaluate_every=2)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "TrainingOptions", options)


def quick_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps, and a gate that lets everything pass."""
    short_training(monkeypatch)
    monkeypatch.setattr("app.learning.gate.Verdict.failed", ())


def die_in(monkeypatch: pytest.MonkeyPatch, part: type, method: str) -> None:
    """The first attempt ends where it would call the method."""

    def die(*_arguments: object, **_values: object) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as killed:
        killed.setattr(part, method, die)
        with pytest.raises(SystemExit):
            main(["--owner", "first"])


def small_clinic(world: ClinicWorld) -> None:
    for number, cases in enumerate(list(CALIBRATION.values())[:24]):
        world.see(cases[0], cases[0].condition, caller=f"clinician {number % 3}")


def test_a_run_that_a_dead_worker_left_decided_is_brought_to_its_end(
    world: ClinicWorld, monkeypatch: pytest.MonkeyPatch
):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    die_in(monkeypatch, VersionRegistry, "activate")
    left = state(world.database, run)
    assert (left.state, left.decision) == ("gating", "promote")
    assert registry(world).active().sequence == 0
    RunRepository(world.database).release("first")
    assert main(["--owner", "second"]) == 0
    ended = state(world.database, run)
    assert ended.state == "promoted"
    assert registry(world).active().version == left.candidate_version


def test_a_version_that_somebody_activated_meanwhile_is_not_replaced(
    world: ClinicWorld, monkeypatch: pytest.MonkeyPatch
):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    assert main(["--owner", "first"]) == 0
    assert state(world.database, run).state == "promoted"
    small = state(world.database, run).candidate_version
    for cases in list(CALIBRATION.values())[24:48]:
        world.see(cases[0], cases[0].condition)
    later = opened(world)
    decided = RunRepository.decide

    def meanwhile(*arguments: object, **values: object) -> None:
        decided(*arguments, **values)  # type: ignore[arg-type]
        registry(world).activate(PARENT.version, by="operator")

    monkeypatch.setattr(RunRepository, "decide", meanwhile)
    assert main(["--owner", "second"]) == 0
    ended = state(world.database, later)
    assert (ended.state, ended.reason, ended.parent_version) == ("failed", "parent_replaced", small)
    assert registry(world).active().version == PARENT.version


def test_who_went_back_before_a_dead_worker_could_end_its_run_is_not_overruled(
    world: ClinicWorld, monkeypatch: pytest.MonkeyPatch
):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    die_in(monkeypatch, RunRepository, "finish")
    promoted = registry(world).active().version
    assert promoted == state(world.database, run).candidate_version
    activate_version(registry(world), AuditLog(world.database), PARENT.version, by="operator")
    RunRepository(world.database).release("first")
    assert main(["--owner", "second"]) == 0
    assert state(world.database, run).state == "promoted"
    assert registry(world).active().version == PARENT.version


def test_an_attempt_that_lost_its_run_takes_nothing_from_the_one_that_has_it(
    world: ClinicWorld, monkeypatch: pytest.MonkeyPatch
):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    publish = VersionRegistry.publish

    def lose(versions: VersionRegistry, *arguments: object) -> str:
        published = publish(versions, *arguments)  # type: ignore[arg-type]
        runs = RunRepository(world.database)
        runs.release("first")
        assert runs.claim("second", 60.0, 3) is not None
        return published

    monkeypatch.setattr(VersionRegistry, "publish", lose)
    assert main(["--owner", "first"]) == 1
    left = state(world.database, run)
    assert (left.state, left.lease_owner) == ("running", "second")
    assert len(registry(world).ids()) == 1


def test_told_to_end_when_the_run_is_over_it_ends_without_a_traceback(
    world: ClinicWorld, monkeypatch: pytest.MonkeyPatch
):
    run = opened(world)
    finish = RunRepository.finish

    def finish_and_stop(*arguments: object) -> None:
        finish(*arguments)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunRepository, "finish", finish_and_stop)
    monkeypatch.setattr(runner.Job, "decide", lambda *_arguments: None)
    assert main(["--owner", "first"]) == 1
    assert state(world.database, run).state == "rejected"


def test_a_cancelled_run_ends_and_its_feedback_waits(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    small_clinic(world)
    run = opened(world)
    reported = keeping.Keeper.report

    def cancel(keeper: keeping.Keeper, step: str, share: float, figures: dict[str, float]) -> None:
        if step == "training":
            keeper._is_cancelled = True
        reported(keeper, step, share, figures)

    monkeypatch.setattr(keeping.Keeper, "report", cancel)
    assert main(["--owner", "first"]) == 0
    assert state(world.database, run).state == "cancelled"
    assert {RunRepository(world.database).feedback(row).outcome for row in world.given} == {"waiting"}


def test_told_to_end_it_gives_the_run_back(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    small_clinic(world)
    run = opened(world)
    reported = keeping.Keeper.report

    def terminate(keeper: keeping.Keeper, step: str, share: float, figures: dict[str, float]) -> None:
        if step == "training":
            signal.raise_signal(signal.SIGTERM)
        reported(keeper, step, share, figures)

    monkeypatch.setattr(keeping.Keeper, "report", terminate)
    assert main(["--owner", "first"]) == 0
    left = state(world.database, run)
    assert (left.state, left.reason, left.lease_owner, left.attempts) == ("queued", "worker_stopped", None, 0)


def test_a_machine_short_of_memory_keeps_it_for_the_service(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    small_clinic(world)
    run = opened(world)
    monkeypatch.setattr(keeping, "free_memory", lambda: 0)
    assert main(["--owner", "first"]) == 0
    assert (state(world.database, run).state, state(world.database, run).reason) == ("queued", "short_of_memory")


def test_too_little_feedback_fails_with_a_reason(world: ClinicWorld):
    world.see(next(iter(CALIBRATION.values()))[0], 0)
    run = opened(world)
    assert main(["--owner", "first"]) == 0
    assert (state(world.database, run).state, state(world.database, run).reason) == ("failed", "nothing_to_learn")


def test_without_learning_sets_the_run_fails_and_says_so(
    world: ClinicWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LEARNING_DATA_PATH", str(tmp_path / "none"))
    small_clinic(world)
    run = opened(world)
    assert main(["--owner", "first"]) == 1
    assert (state(world.database, run).state, state(world.database, run).reason) == ("failed", "learning_sets_missing")


def test_a_full_disk_gives_the_run_back(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    short_training(monkeypatch)
    small_clinic(world)
    run = opened(world)

    def full(*_arguments: object, **_values: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job, "save_artifact", full)
    assert main(["--owner", "first"]) == 1
    assert (state(world.database, run).state, state(world.database, run).reason) == ("queued", "storage_full")
    assert registry(world).ids() == ()
    assert not list(world.settings.versions_dir.glob(".staging-*"))


def test_where_nothing_waits_for_a_worker_nothing_is_done(world: ClinicWorld):
    assert main(["--owner", "first"]) == 0
    assert RunRepository(world.database).recent(5) == ()


def test_what_a_dead_attempt_published_is_withdrawn(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    die_in(monkeypatch, RunRepository, "decide")
    (orphan,) = registry(world).ids()
    RunRepository(world.database).release("first")
    for cases in list(CALIBRATION.values())[24:30]:  # what came meanwhile makes another version
        world.see(cases[0], cases[0].condition)
    assert main(["--owner", "second"]) == 0
    ended = state(world.database, run)
    assert ended.state == "promoted"
    assert registry(world).ids() == (ended.candidate_version,)
    assert ended.candidate_version != orphan


def test_a_run_cancelled_at_the_last_moment_leaves_no_version(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    quick_promotion(monkeypatch)
    small_clinic(world)
    run = opened(world)
    publish = VersionRegistry.publish

    def cancel(versions: VersionRegistry, *arguments: object) -> str:
        published = publish(versions, *arguments)  # type: ignore[arg-type]
        RunRepository(world.database).cancel(run.run_id, "admin")
        return published

    monkeypatch.setattr(VersionRegistry, "publish", cancel)
    assert main(["--owner", "first"]) == 0
    assert state(world.database, run).state == "cancelled"
    assert registry(world).ids() == ()


def test_one_run_reads_no_more_rows_than_fit(world: ClinicWorld, monkeypatch: pytest.MonkeyPatch):
    short_training(monkeypatch)
    small_clinic(world)
    monkeypatch.setattr(job, "MAX_ROWS", 10)
    run = opened(world)
    assert main(["--owner", "first"]) == 0
    assert sum(state(world.database, run).counts.values()) == 10
    newest = RunRepository(world.database).feedback(world.given[-1])
    oldest = RunRepository(world.database).feedback(world.given[0])
    assert (newest.run_id, oldest.outcome) == (run.run_id, "waiting")
