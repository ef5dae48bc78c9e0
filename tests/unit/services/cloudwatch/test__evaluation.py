"""An alarm's state, given points and the time."""

import pytest

from clary.services.cloudwatch._evaluation import evaluate, span_ms

MINUTE = 60_000
NOW = 100 * MINUTE + 30_000
BASE = {
    "Period": 60,
    "EvaluationPeriods": 2,
    "Statistic": "Sum",
    "Threshold": 10.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def state(values, **members):
    """Return the state where `values` are those of minutes before now, the present one first."""
    points = [
        (NOW - 20_000 - minute * MINUTE, value, "None", 1.0)
        for minute, value in enumerate(values)
        if value is not None
    ]
    return evaluate(BASE | members, sorted(points), NOW).state


@pytest.mark.parametrize(
    ("values", "members", "expected"),
    [
        ([0, 20, 20], {}, "ALARM"),
        ([0, 20, 5], {}, "OK"),
        ([20, 20, 0], {}, "ALARM"),
        ([20, 0, 0], {"EvaluationPeriods": 1}, "ALARM"),
        ([0, 20, 0, 20], {"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, "ALARM"),
        ([], {}, "INSUFFICIENT_DATA"),
        ([], {"TreatMissingData": "breaching"}, "ALARM"),
        ([], {"TreatMissingData": "notBreaching"}, "OK"),
        ([], {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "ALARM"),
        ([None, None, 20, 20], {}, "ALARM"),
        ([None, None, 20, 20], {"TreatMissingData": "notBreaching"}, "OK"),
        ([0, 20, 20], {"ComparisonOperator": "LessThanThreshold"}, "OK"),
        ([0, 5, 5], {"ComparisonOperator": "LessThanThreshold"}, "ALARM"),
    ],
)
def test_a_state_follows_from_the_newest_periods(values, members, expected):
    assert state(values, **members) == expected


def test_a_reason_says_how_many_crossed_what():
    points = [(NOW - 80_000, 20.0, "None", 1.0)]
    verdict = evaluate(BASE | {"EvaluationPeriods": 1}, points, NOW)
    assert verdict.reason.startswith("Threshold Crossed: 1 out of the last 1 datapoints [20.0 (")
    assert verdict.reason.endswith("was greater than the threshold (10.0).")


def test_points_are_asked_for_a_little_further_back_than_the_periods():
    assert span_ms(BASE, NOW) == (96 * MINUTE, NOW + 1)
