"""CloudWatch metrics through boto3: periods, statistics, pages, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMED = {"Namespace": "Test", "MetricName": "loss", "Dimensions": [{"Name": "Job", "Value": "a"}]}
ASKED = {**NAMED, "StartTime": START, "EndTime": START + HOUR, "Period": 60, "Statistics": ["Sum"]}


@pytest.fixture
def client(clary_server):
    """A client of an account that has values 0 to 11, one every ten seconds."""
    client = clary_server.account().client("cloudwatch")
    put(
        client,
        *(
            {"Timestamp": START + timedelta(seconds=10 * n), "Value": float(n), "Unit": "Count"}
            for n in range(12)
        ),
    )
    return client


def put(client, *data, name="loss"):
    named = [{"MetricName": name, "Dimensions": NAMED["Dimensions"], **datum} for datum in data]
    client.put_metric_data(Namespace="Test", MetricData=named)


def query(name="q", **stat):
    metric = {"Metric": NAMED, "Period": 60, "Stat": "Average", **stat}
    return {"Id": name, "MetricStat": metric}


def code_of(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    return refused.value.response["Error"]["Code"]


def test_statistics_by_period(client):
    names = ["Average", "Sum", "Minimum", "Maximum", "SampleCount"]
    first, second = client.get_metric_statistics(**{**ASKED, "Statistics": names})["Datapoints"]
    assert first["Timestamp"] == START
    assert [first[name] for name in names] == [2.5, 15.0, 0.0, 5.0, 6.0]
    assert [second[name] for name in names] == [8.5, 51.0, 6.0, 11.0, 6.0]
    assert first["Unit"] == "Count"
    short = client.get_metric_statistics(**{**ASKED, "Period": 10, "EndTime": START + timedelta(minutes=1)})
    assert [each["Sum"] for each in short["Datapoints"]] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_percentiles(client):
    request = {name: value for name, value in ASKED.items() if name != "Statistics"} | {"Period": 3600}
    answer = client.get_metric_statistics(**request, ExtendedStatistics=["p0", "p50", "p100"])
    assert answer["Datapoints"][0]["ExtendedStatistics"] == {"p0": 0.0, "p50": 5.5, "p100": 11.0}


def test_a_unit_chooses_and_units_are_not_mixed(client):
    put(client, {"Timestamp": START, "Value": 100.0, "Unit": "Bytes"})
    answer = client.get_metric_statistics(**ASKED, Unit="Bytes")
    assert [each["Sum"] for each in answer["Datapoints"]] == [100.0]
    both = client.get_metric_statistics(**ASKED)["Datapoints"]
    assert sorted((each["Unit"], each["Sum"]) for each in both) == [
        ("Bytes", 100.0),
        ("Count", 15.0),
        ("Count", 51.0),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_statistic_set_keeps_its_statistics(client, count):
    low, high = (4.0, 4.0) if count == 1 else (1.0, 4.0)
    given = {"SampleCount": count, "Sum": low + high + (count - 2) * 2.0 if count > 1 else 4.0}
    put(
        client,
        {"Timestamp": START, "StatisticValues": {**given, "Minimum": low, "Maximum": high}},
        name="set",
    )
    names = ["Sum", "Minimum", "Maximum", "SampleCount"]
    answer = client.get_metric_statistics(**{**ASKED, "MetricName": "set", "Statistics": names})
    assert [answer["Datapoints"][0][name] for name in names] == [given["Sum"], low, high, count]


def test_data_in_pages(client):
    asked = {"StartTime": START, "EndTime": START + HOUR, "MaxDatapoints": 3}
    queries = [query("sums", Stat="Sum"), query("means"), {**query("hidden"), "ReturnData": False}]
    pages = list(client.get_paginator("get_metric_data").paginate(MetricDataQueries=queries, **asked))
    found: dict[str, list[float]] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            found.setdefault(result["Id"], []).extend(result["Values"])
    assert len(pages) == 2
    assert [each["StatusCode"] for each in pages[0]["MetricDataResults"]] == ["Complete", "PartialData"]
    assert found == {"sums": [51.0, 15.0], "means": [8.5, 2.5]}
    whole = client.get_metric_data(MetricDataQueries=queries[:1], ScanBy="TimestampAscending", **asked)
    assert whole["MetricDataResults"][0]["Values"] == [15.0, 51.0]
    assert "NextToken" not in whole


def test_metrics_are_listed_in_pages_and_by_dimension(client, clary_server):
    for begin in range(0, 520, 260):
        names = range(begin, begin + 260)
        data = [{"MetricName": f"m-{n:03}", "Value": 1.0} for n in names]
        client.put_metric_data(Namespace="Many", MetricData=data)
    pages = list(client.get_paginator("list_metrics").paginate(Namespace="Many"))
    assert [len(page["Metrics"]) for page in pages] == [500, 20]
    for chosen in ({"Name": "Job"}, {"Name": "Job", "Value": "a"}):
        assert client.list_metrics(Dimensions=[chosen])["Metrics"] == [NAMED]
    assert client.list_metrics(Dimensions=[{"Name": "Job", "Value": "b"}])["Metrics"] == []
    assert clary_server.account().client("cloudwatch").list_metrics()["Metrics"] == []


def test_statistics_that_make_no_sense_are_refused(client):
    bare = {name: value for name, value in ASKED.items() if name != "Statistics"}
    for request, code in (
        (bare, "MissingParameter"),
        ({**ASKED, "ExtendedStatistics": ["p50"]}, "InvalidParameterCombination"),
        ({**bare, "ExtendedStatistics": ["p101"]}, "InvalidParameterValue"),
        ({**bare, "ExtendedStatistics": ["best"]}, "InvalidParameterValue"),
        ({**ASKED, "Period": 7}, "InvalidParameterValue"),
        ({**ASKED, "Period": 90}, "InvalidParameterValue"),
        ({**ASKED, "EndTime": START}, "InvalidParameterValue"),
        ({**ASKED, "EndTime": START + 25 * HOUR}, "InvalidParameterCombination"),
    ):
        assert code_of(client.get_metric_statistics, **request) == code, request


def test_data_that_make_no_sense_are_refused(client):
    span = {"StartTime": START, "EndTime": START + HOUR}
    for queries, code in (
        ([query(), query()], "ValidationError"),
        ([{"Id": "e", "Expression": "q * 2"}], "ValidationError"),
        ([query(Stat="best")], "InvalidParameterValue"),
        ([query(Period=7)], "InvalidParameterValue"),
    ):
        assert code_of(client.get_metric_data, MetricDataQueries=queries, **span) == code, queries
    assert (
        code_of(client.get_metric_data, MetricDataQueries=[query()], NextToken="x", **span)
        == "InvalidNextToken"
    )
    assert code_of(client.list_metrics, NextToken="x") == "InvalidNextToken"


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({}, "MissingParameter"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Value": float("nan")}, "InvalidParameterValue"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [-1.0]}, "InvalidParameterValue"),
    ],
    ids=["nothing", "two", "nan", "counts", "negative"],
)
def test_points_that_make_no_sense_are_refused_and_none_is_stored(client, datum, code):
    data = [{"MetricName": "new", "Value": 1.0}, {"MetricName": "new", **datum}]
    assert code_of(client.put_metric_data, Namespace="Test", MetricData=data) == code
    assert client.list_metrics(MetricName="new")["Metrics"] == []
