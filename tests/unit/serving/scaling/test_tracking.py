"""How many instances policies want."""

import pytest

from clary.serving.scaling.tracking import by_load, by_step, by_value

STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
    ],
}


@pytest.mark.parametrize(
    ("load", "expected"), [(0, (0, 0)), (100, (1, 2)), (101, (2, 2)), (180, (2, 2)), (195, (2, 3))]
)
def test_a_load_is_shared_by_as_many_as_keep_to_the_target(load, expected):
    assert by_load(load, 100) == expected


def test_a_metric_scales_the_fleet_in_proportion_and_wakes_an_empty_one():
    assert by_value(150, 100, 2) == (3, 4)
    assert by_value(20, 100, 4) == (1, 1)
    assert by_value(1, 100, 0) == (1, 1)
    assert by_value(0, 100, 0) == (0, 0)


@pytest.mark.parametrize(("deviation", "expected"), [(0, 3), (9.9, 3), (10, 5), (99, 5), (-1, None)])
def test_a_step_holds_its_lower_bound(deviation, expected):
    assert by_step(2, deviation, STEPS) == expected


@pytest.mark.parametrize(
    ("change", "least", "current", "expected"),
    [(50, 0, 4, 6), (10, 0, 4, 5), (10, 2, 4, 6), (-25, 0, 4, 3), (-10, 0, 4, 3), (66, 0, 5, 8)],
)
def test_a_percentage_is_rounded_towards_nought_but_never_to_nothing(change, least, current, expected):
    policy = {
        "AdjustmentType": "PercentChangeInCapacity",
        "MinAdjustmentMagnitude": least,
        "StepAdjustments": [{"ScalingAdjustment": change}],
    }
    assert by_step(current, 0, policy) == expected


def test_an_exact_capacity_is_that():
    policy = {"AdjustmentType": "ExactCapacity", "StepAdjustments": [{"ScalingAdjustment": 7}]}
    assert by_step(2, 0, policy) == 7
