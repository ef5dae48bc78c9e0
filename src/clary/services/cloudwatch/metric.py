"""CloudWatch metrics: points written by jobs and clients, read as statistics."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from clary.kernel.clock import epoch_ms, from_epoch_ms
from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.store import metrics

Points = Sequence[tuple[int, float, str]]
"""(milliseconds, value, unit), oldest first."""

_SIMPLE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": lambda values: float(len(values)),
}

MAX_DATAPOINTS = 1_440
"""Source: API reference, GetMetricStatistics."""


def _dimensions(items: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {item["Name"]: item.get("Value", "") for item in items or ()}


def _points(
    call: Call, namespace: str, name: str, dimensions: Mapping[str, str], start: Any, end: Any
) -> Points:
    found: Points = call.read(
        metrics.points,
        call.account,
        call.region,
        namespace,
        name,
        dict(dimensions),
        epoch_ms(start) if start else None,
        epoch_ms(end) if end else None,
    )
    return found


def buckets(points: Points, period_s: int) -> dict[int, list[float]]:
    """Group values by the period's start, in milliseconds."""
    grouped: dict[int, list[float]] = defaultdict(list)
    width = period_s * 1000
    for ms, value, _unit in points:
        grouped[ms // width * width].append(value)
    return dict(sorted(grouped.items()))


def statistic(name: str, values: Sequence[float]) -> float:
    """Return one statistic of a bucket's values.

    Raises
    ------
    AwsError
        `InvalidParameterValue`: no such statistic.
    """
    if name in _SIMPLE:
        return _SIMPLE[name](values)
    if name.startswith("p") and name[1:].replace(".", "", 1).isdigit():
        return _percentile(values, float(name[1:]))
    allowed = ", ".join(_SIMPLE)
    raise AwsError(
        f"The statistic '{name}' is not one of {allowed}, p0 to p100.", code="InvalidParameterValue"
    )


def _percentile(values: Sequence[float], percent: float) -> float:
    if len(values) == 1:
        return values[0]
    ordered = sorted(values)
    if percent >= 100:
        return ordered[-1]
    if percent <= 0:
        return ordered[0]
    return statistics.quantiles(ordered, n=1000, method="inclusive")[max(0, round(percent * 10) - 1)]


@operation("PutMetricData")
def put_metric_data(call: Call, request: Mapping[str, Any]) -> None:
    """Store points; a statistic set is stored as its average, once for each sample."""
    rows = []
    for datum in request.get("MetricData", ()):
        ms = epoch_ms(datum.get("Timestamp", call.now))
        unit = datum.get("Unit", "None")
        head = (
            call.account,
            call.region,
            request["Namespace"],
            datum["MetricName"],
            _dimensions(datum.get("Dimensions")),
            ms,
        )
        if "Values" in datum:
            counts = datum.get("Counts") or [1.0] * len(datum["Values"])
            if len(counts) != len(datum["Values"]):
                raise AwsError("Counts must have as many entries as Values.", code="InvalidParameterValue")
            pairs = zip(datum["Values"], counts, strict=True)
            rows += [(*head, float(value), unit) for value, count in pairs for _ in range(int(count))]
        elif "StatisticValues" in datum:
            values = datum["StatisticValues"]
            mean = values["Sum"] / max(1.0, values["SampleCount"])
            rows += [(*head, mean, unit)] * int(values["SampleCount"])
        else:
            rows.append((*head, float(datum["Value"]), unit))
    call.write(metrics.append, rows)


@operation("GetMetricStatistics")
def get_metric_statistics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return statistics of one metric by period."""
    dimensions = _dimensions(request.get("Dimensions"))
    points = _points(
        call,
        request["Namespace"],
        request["MetricName"],
        dimensions,
        request["StartTime"],
        request["EndTime"],
    )
    grouped = buckets(points, int(request["Period"]))
    if len(grouped) > MAX_DATAPOINTS:
        raise AwsError(
            f"You have requested up to {len(grouped)} datapoints, which exceeds the limit of "
            f"{MAX_DATAPOINTS}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
            code="InvalidParameterCombination",
        )
    unit = points[0][2] if points else "None"
    names = request.get("Statistics", ())
    extended = request.get("ExtendedStatistics", ())
    datapoints = []
    for ms, values in grouped.items():
        datapoint: dict[str, Any] = {"Timestamp": from_epoch_ms(ms), "Unit": unit}
        datapoint |= {name: statistic(name, values) for name in names}
        if extended:
            datapoint["ExtendedStatistics"] = {name: statistic(name, values) for name in extended}
        datapoints.append(datapoint)
    return {"Label": request["MetricName"], "Datapoints": datapoints}


@operation("GetMetricData")
def get_metric_data(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return statistics of several metrics; metric maths is refused by name."""
    results = [_result(call, request, query) for query in request["MetricDataQueries"]]
    return {"MetricDataResults": [each for each in results if each], "Messages": []}


def _result(call: Call, request: Mapping[str, Any], query: Mapping[str, Any]) -> dict[str, Any] | None:
    if "MetricStat" not in query:
        raise AwsError(
            f"MetricDataQueries '{query['Id']}': Expression is not served; give a MetricStat.",
            code="ValidationError",
        )
    if query.get("ReturnData") is False:
        return None
    wanted = query["MetricStat"]
    metric = wanted["Metric"]
    dimensions = _dimensions(metric.get("Dimensions"))
    points = _points(
        call, metric["Namespace"], metric["MetricName"], dimensions, request["StartTime"], request["EndTime"]
    )
    pairs = [
        (from_epoch_ms(ms), statistic(wanted["Stat"], values))
        for ms, values in buckets(points, int(wanted["Period"])).items()
    ]
    if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
        pairs.reverse()
    times: list[datetime] = [moment for moment, _value in pairs]
    return {
        "Id": query["Id"],
        "Label": query.get("Label", metric["MetricName"]),
        "Timestamps": times,
        "Values": [value for _moment, value in pairs],
        "StatusCode": "Complete",
    }


@operation("ListMetrics")
def list_metrics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics that have points."""
    dimensions = {item["Name"]: item.get("Value") for item in request.get("Dimensions", ())}
    found = call.read(metrics.series, call.account, call.region, request.get("Namespace"), None)
    shown = [
        {
            "Namespace": series.namespace,
            "MetricName": series.name,
            "Dimensions": [
                {"Name": name, "Value": value} for name, value in sorted(series.dimensions.items())
            ],
        }
        for series in found
        if request.get("MetricName") in {None, series.name}
        and all(
            name in series.dimensions and value in {None, series.dimensions[name]}
            for name, value in dimensions.items()
        )
    ]
    return {"Metrics": shown}
