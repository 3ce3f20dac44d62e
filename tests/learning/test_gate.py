from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from app.fusion.afnet import AFNet
from app.learning.cases import LearningSet, SafetyFloor
from app.learning.gate import GateCases, Margins, Version, judge
from tests.learning.small_network import CALIBRATION, SEVERITIES, SPECIALTIES, cases, trained_network

HELD_OUT = tuple(cases(30, 50, label={0: 1}, triage=False))


@pytest.fixture(scope="module")
def serving() -> Version:
    return Version(trained_network(), CALIBRATION, SEVERITIES)


@pytest.fixture
def gate_cases() -> GateCases:
    emergencies = [case for case in cases(60, 51) if case.condition >= 4]
    floors = tuple(SafetyFloor("high", 2) if number % 2 else None for number in range(len(emergencies)))
    return GateCases(
        LearningSet(tuple(cases(150, 52))),
        LearningSet(tuple(emergencies), floors),
        HELD_OUT,
        frozenset({0}),
        SPECIALTIES,
    )


def changed(version: Version, bias: dict[int, float]) -> Version:
    """The same network with something added to some conditions' logits."""
    network: AFNet = copy.deepcopy(version.network)
    with torch.no_grad():
        for condition, value in bias.items():
            network.condition_head.bias[condition] += value
    return replace(version, network=network)


def meaning_moved(version: Version) -> Version:
    """Calls condition 0 by the name of condition 1, and changes nothing else."""
    network: AFNet = copy.deepcopy(version.network)
    with torch.no_grad():
        head = network.condition_head
        head.weight[1], head.bias[1] = torch.zeros_like(head.weight[1]), torch.tensor(-30.0)
        both = version.network.condition_head
        head.weight[1], head.bias[1] = both.weight[0].clone(), both.bias[0].clone()
        head.weight[0], head.bias[0] = torch.zeros_like(head.weight[0]), torch.tensor(-30.0)
    return replace(version, network=network)


def test_a_version_that_changes_nothing_is_not_promoted(serving: Version, gate_cases: GateCases):
    verdict = judge(serving, serving, gate_cases, Margins())
    assert verdict.failed == ("held_out_log_loss",)


def test_one_that_fits_the_clinic_and_loses_nothing_else_passes(serving: Version, gate_cases: GateCases):
    only = GateCases(
        gate_cases.gate.without(frozenset({1})),
        gate_cases.emergencies,
        tuple(case for number, case in enumerate(HELD_OUT) if number % 6 == 0),
        frozenset({0}),
        SPECIALTIES,
    )
    verdict = judge(serving, meaning_moved(serving), only, Margins(gate_accuracy=0.3))
    assert verdict.failed == ()
    assert verdict.promotes
    assert verdict.held_out["candidate"]["accuracy"] == 1.0


def test_losing_conditions_that_nobody_redefined_is_refused(serving: Version, gate_cases: GateCases):
    verdict = judge(serving, changed(serving, {3: -30.0}), gate_cases, Margins())
    assert {"gate_accuracy", "unchanged_accuracy", "specialty_loss"} <= set(verdict.failed)
    assert [row.name for row in verdict.specialties if not row.passed] == ["b"]


def test_an_emergency_that_is_called_harmless_is_refused(serving: Version, gate_cases: GateCases):
    verdict = judge(serving, changed(serving, {0: 60.0}), gate_cases, Margins())
    assert "red_flags" in verdict.failed


def test_a_red_flag_holds_whatever_the_network_says(serving: Version, gate_cases: GateCases):
    flagged = replace(
        gate_cases,
        emergencies=LearningSet(
            gate_cases.emergencies.cases, tuple(SafetyFloor("high", 2) for _ in gate_cases.emergencies.cases)
        ),
    )
    check = next(
        c for c in judge(serving, changed(serving, {0: 60.0}), flagged, Margins()).checks if c.name == "red_flags"
    )
    assert (check.serving, check.candidate) == (1.0, 1.0)


def test_calling_visits_less_urgent_is_refused(serving: Version, gate_cases: GateCases):
    network: AFNet = copy.deepcopy(serving.network)
    with torch.no_grad():
        network.triage_head.bias += 30.0
    verdict = judge(serving, replace(serving, network=network), gate_cases, Margins())
    assert "triage_under" in verdict.failed


def test_overconfidence_is_refused(serving: Version, gate_cases: GateCases):
    noisy = replace(gate_cases, gate=LearningSet(tuple(cases(150, 52, label={2: 3, 4: 5}))))
    sure = replace(serving, calibration=CALIBRATION.model_copy(update={"temperature": {"text": 0.05}}))
    unsure = replace(serving, calibration=CALIBRATION.model_copy(update={"temperature": {"text": 2.0}}))
    assert "gate_ece" in judge(unsure, sure, noisy, Margins()).failed


def test_many_small_losses_are_held_to_the_version_that_the_service_came_with(serving: Version, gate_cases: GateCases):
    worse = changed(serving, {3: -30.0})
    verdict = judge(worse, worse, gate_cases, Margins(), base=serving)
    assert "cumulative_accuracy" in verdict.failed
    assert "unchanged_accuracy" not in verdict.failed


def test_without_held_out_feedback_there_is_no_verdict(serving: Version, gate_cases: GateCases):
    with pytest.raises(ValueError, match="held-out"):
        judge(serving, serving, replace(gate_cases, held_out=()), Margins())


def test_the_impact_names_every_check_with_its_margin(serving: Version, gate_cases: GateCases):
    impact = judge(serving, serving, gate_cases, Margins()).impact()
    assert [check["name"] for check in impact["checks"]] == [
        "gate_accuracy",
        "unchanged_accuracy",
        "cumulative_accuracy",
        "gate_ece",
        "triage_under",
        "red_flags",
        "specialty_loss",
        "held_out_accuracy",
        "held_out_log_loss",
    ]
    assert {row["name"] for row in impact["specialties"]} == {"a", "b"}
