"""The stages of a deployment, and the routes between two fleets."""

import pytest

from clary.services.sagemaker import _endpoint_plan as plans


def routing(kind, **sizes):
    traffic = {"Type": kind, "WaitIntervalInSeconds": 30, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic}}


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value):
    return {"Type": "INSTANCE_COUNT", "Value": value}


def traffic(deployment, n=4):
    return [stage.traffic for stage in plans.stages(deployment, n)]


def test_without_a_configuration_all_is_shifted_at_once():
    assert plans.stages({}, 4) == plans.AT_ONCE


def test_a_canary_has_two_stages_that_bake_both():
    found = plans.stages(routing("CANARY", CanarySize=percent(10)), 4)
    assert [(stage.traffic, stage.new, stage.old, stage.bake_s) for stage in found] == [
        (0.1, 1.0, 1.0, 30),
        (1.0, 1.0, 0.0, 30),
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (percent(50), [0.5, 1.0]),
        (percent(33), [0.33, 0.66, 0.99, 1.0]),
        (count(1), [0.25, 0.5, 0.75, 1.0]),
        (count(9), [1.0]),
    ],
)
def test_linear_steps_add_up_to_all(size, expected):
    assert traffic(routing("LINEAR", LinearStepSize=size)) == pytest.approx(expected)


def test_a_rolling_update_lets_go_of_as_much_as_it_brings_in():
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": count(2), "WaitIntervalInSeconds": 5}}
    found = plans.stages(policy, 4)
    assert [(stage.new, stage.old) for stage in found] == [(0.5, 0.5), (1.0, 0.0)]


def fleet(name, weight, *replicas):
    return {"VariantName": name, "Weight": weight, "Replicas": list(replicas)}


def test_a_mixed_route_sends_the_share_whatever_the_fleets_weights_are():
    entries = plans.mixed([fleet("a", 3.0, "r0"), fleet("b", 1.0, "r1")], [fleet("a", 10.0, "r2")], 0.2)
    assert [(each["name"], each["weight"]) for each in entries] == [
        ("a", pytest.approx(0.6)),
        ("b", pytest.approx(0.2)),
        ("a", pytest.approx(0.2)),
    ]


def test_a_whole_shift_leaves_no_entry_of_the_old_fleet():
    assert plans.mixed([fleet("a", 1.0, "r0")], [fleet("a", 2.0, "r1")], 1.0) == [
        {"name": "a", "weight": 2.0, "replicas": ["r1"]}
    ]


def plan(**members):
    return {"variants": [{"VariantName": "a", "Weight": 1.0, "InstanceCount": 1, **members}]}


def test_retained_properties_are_those_of_the_running_variant_of_that_name():
    running, target = plan(Weight=5.0, InstanceCount=3), plan(Weight=1.0, InstanceCount=1)
    assert plans.retain(target, running)["variants"] == running["variants"]
    kept = plans.retain(target, running, exclude={"DesiredWeight"})["variants"][0]
    assert (kept["Weight"], kept["InstanceCount"]) == (1.0, 3)


def test_a_resized_plan_changes_what_is_named_alone():
    assert plans.resized(plan(), {"a": {"DesiredInstanceCount": 4}})["variants"] == [
        {"VariantName": "a", "Weight": 1.0, "InstanceCount": 4}
    ]
