"""BatchPutMetrics and BatchGetMetrics through boto3."""

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.documented
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def component(account, request):
    name = request.node.name.replace("_", "-").lower()[:100]
    return name, account.client("sagemaker").create_trial_component(TrialComponentName=name)[
        "TrialComponentArn"
    ]


def put(account, name, *values, metric="loss", step=True):
    data = [
        {"MetricName": metric, "Timestamp": START + timedelta(seconds=20 * n), "Value": value}
        | ({"Step": n} if step else {})
        for n, value in enumerate(values)
    ]
    return account.client("sagemaker-metrics").batch_put_metrics(TrialComponentName=name, MetricData=data)


def get(account, arn, stat="Last", period="IterationNumber", axis="IterationNumber", metric="loss", **more):
    query = {
        "MetricName": metric,
        "ResourceArn": arn,
        "MetricStat": stat,
        "Period": period,
        "XAxisType": axis,
    }
    client = account.client("sagemaker-metrics")
    (found,) = client.batch_get_metrics(MetricQueries=[query | more])["MetricQueryResults"]
    return found


def test_points_come_back_by_step(account, component):
    name, arn = component
    assert "Errors" not in put(account, name, 3.0, 2.0, 1.5)
    found = get(account, arn)
    assert (found["Status"], found["XAxisValues"], found["MetricValues"]) == (
        "Complete",
        [0, 1, 2],
        [3, 2, 1.5],
    )
    assert get(account, arn, Start=1, End=1)["MetricValues"] == [2.0]


def test_points_come_back_by_minutes_as_statistics(account, component):
    name, arn = component
    put(account, name, 1.0, 2.0, 3.0, 10.0, step=False)
    minute = int(START.timestamp())
    wanted = {
        "Min": [1, 10],
        "Max": [3, 10],
        "Avg": [2, 10],
        "Count": [3, 1],
        "Last": [3, 10],
        "StdDev": [pytest.approx((2 / 3) ** 0.5), 0],
    }
    for stat, values in wanted.items():
        found = get(account, arn, stat, "OneMinute", "Timestamp")
        assert found["XAxisValues"] == [minute, minute + 60]
        assert found["MetricValues"] == values


def test_the_component_shows_summaries(account, component):
    name, arn = component
    put(account, name, 1.0, 5.0)
    put(account, name, 3.0, metric="auc")
    put(account, name, 2.0, 6.0, 4.0)
    shown = account.client("sagemaker").describe_trial_component(TrialComponentName=name)["Metrics"]
    assert [each["MetricName"] for each in shown] == ["auc", "loss"]
    loss = shown[1]
    assert (loss["Min"], loss["Max"], loss["Count"], loss["Avg"]) == (1, 6, 5, pytest.approx(3.6))
    assert loss["StdDev"] == pytest.approx(1.854723699)
    assert loss["Last"] == 4.0
    assert loss["SourceArn"] == arn


def test_what_cannot_be_answered_says_why(account, component):
    _, arn = component
    mixed = get(account, arn, period="OneMinute")
    assert mixed["Status"] == "ValidationError"
    assert "does not go with" in mixed["Message"]
    assert get(account, arn + "x")["Status"] == "ValidationError"
    assert get(account, arn)["MetricValues"] == []
    assert [each["Code"] for each in put(account, "no-such-component", 1.0)["Errors"]] == ["VALIDATION_ERROR"]
