"""Every machine of every noun: its states are the model's, and no walk leaves a final state."""

import random

import pytest

from clary.engine.machine import Machine, Move
from clary.resource.registry import served

SERVICES = served("clary.services")
MACHINES = {noun: each for service in SERVICES.values() for noun, each in service.machines.items()}
PERPETUAL = {"MetricAlarm", "ScalableTarget", "Schedule"}
"""Machines that end with their record alone; their nouns are other services'."""
DETAIL_SHAPES = {
    "TrainingJob": "SecondaryStatus",
    "HyperParameterTuningJob": "HyperParameterTuningJobStatus",
    "Endpoint": "EndpointStatus",
    "InferenceComponent": "InferenceComponentStatus",
    "NotebookInstance": "NotebookInstanceStatus",
    "App": "Status",
    "ProcessingJob": "ProcessingJobStatus",
    "TransformJob": "TransformJobStatus",
    "ModelPackage": "ModelPackageStatus",
}


@pytest.mark.parametrize("noun", sorted(set(MACHINES) - PERPETUAL))
def test_every_state_is_one_of_the_service_models_enum(noun):
    described = SERVICES["sagemaker"].model.operations[f"Describe{noun}"].output.members
    allowed = set(described[DETAIL_SHAPES[noun]].enum)
    machine = MACHINES[noun]
    shown = machine.states if machine.detail else {machine.status(state) for state in machine.states}
    assert shown <= allowed


@pytest.mark.parametrize("noun", sorted(MACHINES))
def test_every_state_that_is_not_final_has_a_step(noun):
    machine = MACHINES[noun]
    for state in machine.edges:
        assert machine.step_of(state) is not None


@pytest.mark.parametrize("noun", sorted(set(MACHINES) - PERPETUAL))
def test_random_walks_end_and_never_leave_a_final_state(noun):
    machine = MACHINES[noun]
    rng = random.Random(7)
    for _ in range(200):
        state = machine.start
        for _step in range(500):
            follow = sorted(machine.edges.get(state, ()))
            if not follow:
                break
            state = rng.choice(follow)
        if machine.is_final(state):
            for target in machine.states - {state}:
                assert not machine.admits(state, target)


def test_a_move_over_a_missing_edge_is_refused_by_name():
    machine = Machine(noun="Thing", start="A", edges={"A": frozenset({"B"}), "B": frozenset({"C"})})
    machine.check("A", Move("C", through=("B",)))
    with pytest.raises(ValueError, match="Thing: no edge A -> C"):
        machine.check("A", Move("C"))


def test_entering_a_state_closes_the_transition_before(frozen_now):
    machine = Machine(noun="Thing", start="A", edges={"A": frozenset({"B"})}, detail="SecondaryStatus")
    first = machine.enter({}, "A", now=frozen_now)
    second = machine.enter(first, "B", now=frozen_now, message="done")
    assert second["SecondaryStatus"] == "B"
    assert [each["Status"] for each in second["SecondaryStatusTransitions"]] == ["A", "B"]
    assert second["SecondaryStatusTransitions"][0]["EndTime"] == frozen_now
    assert second["SecondaryStatusTransitions"][1]["StatusMessage"] == "done"
    assert (
        machine.enter(second, "B", now=frozen_now)["SecondaryStatusTransitions"]
        == second["SecondaryStatusTransitions"]
    )
