"""Alarms through boto3: their terms, their states, what they refuse."""

import time

import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids


@pytest.fixture(scope="module")
def cloudwatch(clary_server):
    return clary_server.account().client("cloudwatch")


def put(cloudwatch, **members):
    name = f"alarm-{ids.short()}"
    terms = {
        "Namespace": "Tests",
        "MetricName": f"metric-{ids.short()}",
        "Statistic": "Maximum",
        "Period": 5,
        "EvaluationPeriods": 1,
        "Threshold": 10.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **(terms | members))
    return name, (terms | members)["MetricName"]


def state_of(cloudwatch, name):
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm


def wait_for(cloudwatch, name, state, limit_s=40.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        alarm = state_of(cloudwatch, name)
        if alarm["StateValue"] == state:
            return alarm
        time.sleep(0.1)
    raise TimeoutError(f"{name} is {alarm['StateValue']}, not {state}")


def test_an_alarm_follows_its_metric(cloudwatch):
    name, metric = put(cloudwatch, TreatMissingData="notBreaching")
    assert wait_for(cloudwatch, name, "OK")["AlarmArn"].endswith(f":alarm:{name}")
    cloudwatch.put_metric_data(Namespace="Tests", MetricData=[{"MetricName": metric, "Value": 11.0}])
    assert "greater than the threshold (10.0)" in wait_for(cloudwatch, name, "ALARM")["StateReason"]
    wait_for(cloudwatch, name, "OK")
    cloudwatch.delete_alarms(AlarmNames=[name])
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def test_without_data_its_state_says_so_and_a_set_state_stays_for_a_moment(cloudwatch):
    name, metric = put(cloudwatch)
    assert state_of(cloudwatch, name)["StateValue"] == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    assert state_of(cloudwatch, name)["StateReason"] == "a test"
    wait_for(cloudwatch, name, "INSUFFICIENT_DATA")
    found = cloudwatch.describe_alarms_for_metric(Namespace="Tests", MetricName=metric)["MetricAlarms"]
    assert [each["AlarmName"] for each in found] == [name]
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    assert state_of(cloudwatch, name)["ActionsEnabled"] is False
    cloudwatch.delete_alarms(AlarmNames=[name])


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"AlarmActions": ["arn:aws:sns:us-east-1:123456789012:topic"]}, "SNS topic of this account"),
        ({"Period": 7}, "Period must be"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "ComparisonOperator"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(cloudwatch, members, text):
    with pytest.raises(ClientError, match=text):
        put(cloudwatch, **members)


def test_an_alarm_that_is_not_there_cannot_be_deleted(cloudwatch):
    with pytest.raises(ClientError) as refused:
        cloudwatch.delete_alarms(AlarmNames=["nobody"])
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"
