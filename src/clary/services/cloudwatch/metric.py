"""CloudWatch metrics: points written by jobs and clients, read as statistics."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from clary.kernel.clock import epoch_ms, from_epoch_ms
from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.store import metrics

Points = Sequence[metrics.Sample]
"""(milliseconds, value, unit, how many samples), oldest first."""
Samples = Sequence[tuple[float, float]]
"""(value, how many samples of it)"""

_SIMPLE: Mapping[str, Callable[[Samples], float]] = {
    "Average": lambda samples: sum(value * n for value, n in samples) / sum(n for _value, n in samples),
    "Sum": lambda samples: sum(value * n for value, n in samples),
    "Minimum": lambda samples: min(value for value, _n in samples),
    "Maximum": lambda samples: max(value for value, _n in samples),
    "SampleCount": lambda samples: float(sum(n for _value, n in samples)),
}

MAX_DATAPOINTS = 1_440
SHORT_PERIODS = frozenset({1, 5, 10, 20, 30})
"""Source of both: API reference, GetMetricStatistics."""
MAX_DATA = 100_800
"""Source: API reference, GetMetricData, MaxDatapoints."""
PAGE = 500
"""Source: API reference, ListMetrics."""


def _dimensions(items: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {item["Name"]: item.get("Value", "") for item in items or ()}


def _points(
    call: Call, namespace: str, name: str, dimensions: Mapping[str, str], start: Any, end: Any
) -> Points:
    found: Points = call.read(
        metrics.samples,
        call.account,
        call.region,
        namespace,
        name,
        dict(dimensions),
        epoch_ms(start) if start else None,
        epoch_ms(end) if end else None,
    )
    return found


def buckets(points: Points, period_s: int) -> dict[int, list[tuple[float, float]]]:
    """Group samples by the period's start, in milliseconds."""
    grouped: dict[int, list[tuple[float, float]]] = defaultdict(list)
    width = period_s * 1000
    for ms, value, _unit, n in points:
        grouped[ms // width * width].append((value, n))
    return dict(sorted(grouped.items()))


def _check_times(start: datetime, end: datetime, period_s: int) -> None:
    if start >= end:
        raise AwsError(
            "The parameter StartTime must be less than the parameter EndTime.", code="InvalidParameterValue"
        )
    if period_s not in SHORT_PERIODS and period_s % 60:
        raise AwsError(
            f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60; it is {period_s}.",
            code="InvalidParameterValue",
        )


def _of_unit(points: Points, unit: str | None) -> Points:
    return [point for point in points if unit in {None, point[2]}]


def check_statistic(name: str) -> None:
    """Refuse a name that is no statistic's.

    Raises
    ------
    AwsError
        `InvalidParameterValue`: no such statistic.
    """
    statistic(name, ((0.0, 1.0),))


def statistic(name: str, values: Samples) -> float:
    """Return one statistic of a bucket's samples.

    Raises
    ------
    AwsError
        `InvalidParameterValue`: no such statistic.
    """
    if name in _SIMPLE:
        return _SIMPLE[name](values)
    if re.fullmatch(r"p\d{1,3}(\.\d{1,10})?", name) and float(name[1:]) <= 100:
        return _percentile(values, float(name[1:]))
    allowed = ", ".join(_SIMPLE)
    raise AwsError(
        f"The statistic '{name}' is not one of {allowed}, p0 to p100.", code="InvalidParameterValue"
    )


def _percentile(samples: Samples, percent: float) -> float:
    """Return the value below which `percent` of the samples lie, between two samples in proportion."""
    ordered = sorted(samples)
    place = percent / 100 * (sum(n for _value, n in ordered) - 1)
    low = _sample_at(ordered, math.floor(place))
    high = _sample_at(ordered, math.ceil(place))
    return low + (high - low) * (place - math.floor(place))


def _sample_at(ordered: Samples, place: float) -> float:
    for value, n in ordered:
        place -= n
        if place < 0:
            return value
    return ordered[-1][0]


@operation("PutMetricData")
def put_metric_data(call: Call, request: Mapping[str, Any]) -> None:
    """Store points; a statistic set as samples that have its sum, extremes and count."""
    rows: list[tuple[metrics.Point, float]] = []
    for datum in request.get("MetricData", ()):
        head = (
            call.account,
            call.region,
            request["Namespace"],
            datum["MetricName"],
            _dimensions(datum.get("Dimensions")),
            epoch_ms(datum.get("Timestamp", call.now)),
        )
        rows += [((*head, value, datum.get("Unit", "None")), n) for value, n in _samples(datum)]
    call.write(metrics.append_counted, rows)


def _samples(datum: Mapping[str, Any]) -> Samples:
    name = datum["MetricName"]
    given = [member for member in ("Value", "Values", "StatisticValues") if member in datum]
    if len(given) != 1:
        raise AwsError(
            f"MetricData '{name}': give one of Value, Values and StatisticValues; "
            f"there is {' and '.join(given) or 'none'}.",
            code="InvalidParameterCombination" if given else "MissingParameter",
        )
    if "Value" in datum:
        pairs = [(datum["Value"], 1.0)]
    elif "Values" in datum:
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        if len(counts) != len(datum["Values"]):
            raise AwsError("Counts must have as many entries as Values.", code="InvalidParameterValue")
        pairs = list(zip(datum["Values"], counts, strict=True))
    else:
        pairs = _pairs_of_set(datum["StatisticValues"])
    if not all(math.isfinite(value) and 0 <= count < math.inf for value, count in pairs):
        raise AwsError(
            f"MetricData '{name}': values must be finite numbers, and counts not negative.",
            code="InvalidParameterValue",
        )
    return [(float(value), float(count)) for value, count in pairs if count]


def _pairs_of_set(values: Mapping[str, float]) -> list[tuple[float, float]]:
    """Return values and their counts that have the statistics of a set."""
    count, total = values["SampleCount"], values["Sum"]
    low, high = values["Minimum"], values["Maximum"]
    if count <= 2:
        return [(total, 1.0)] if count == 1 else [(low, 1.0), (high, 1.0)] if count == 2 else []
    return [(low, 1.0), ((total - low - high) / (count - 2), count - 2), (high, 1.0)]


@operation("GetMetricStatistics")
def get_metric_statistics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return statistics of one metric by period."""
    dimensions = _dimensions(request.get("Dimensions"))
    period = int(request["Period"])
    names, extended = request.get("Statistics", ()), request.get("ExtendedStatistics", ())
    if bool(names) == bool(extended):
        raise AwsError(
            "Give Statistics or ExtendedStatistics, and not both.",
            code="InvalidParameterCombination" if names else "MissingParameter",
        )
    for name in (*names, *extended):
        check_statistic(name)
    _check_times(request["StartTime"], request["EndTime"], period)
    points = _points(
        call,
        request["Namespace"],
        request["MetricName"],
        dimensions,
        request["StartTime"],
        request["EndTime"],
    )
    n_asked = math.ceil((request["EndTime"] - request["StartTime"]).total_seconds() / period)
    if n_asked > MAX_DATAPOINTS:
        raise AwsError(
            f"You have requested up to {n_asked} datapoints, which exceeds the limit of "
            f"{MAX_DATAPOINTS}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
            code="InvalidParameterCombination",
        )
    datapoints = []
    for unit in sorted({point[2] for point in _of_unit(points, request.get("Unit"))}):
        for ms, values in buckets(_of_unit(points, unit), period).items():
            datapoint: dict[str, Any] = {"Timestamp": from_epoch_ms(ms), "Unit": unit}
            datapoint |= {name: statistic(name, values) for name in names}
            if extended:
                datapoint["ExtendedStatistics"] = {name: statistic(name, values) for name in extended}
            datapoints.append(datapoint)
    return {"Label": request["MetricName"], "Datapoints": datapoints}


@operation("GetMetricData")
def get_metric_data(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return statistics of several metrics; metric maths is refused by name."""
    queries = request["MetricDataQueries"]
    if len({query["Id"] for query in queries}) < len(queries):
        raise _refused("The values for parameter id in MetricDataQueries are not unique.")
    skipped = _place(request.get("NextToken"))
    room = int(request.get("MaxDatapoints", MAX_DATA))
    place, results, is_whole = 0, [], True
    for result in filter(None, (_result(call, request, query) for query in queries)):
        n = len(result["Values"])
        begin = max(0, skipped - place)
        end = min(n, skipped + room - place)
        place += n
        if begin < end or (n == 0 and place >= skipped):
            cut = {name: result[name][begin:end] for name in ("Timestamps", "Values")}
            results.append({**result, **cut, "StatusCode": "Complete" if end == n else "PartialData"})
        is_whole = is_whole and end >= n
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    return answer if is_whole else answer | {"NextToken": tokens.encode(skipped + room)}


def _refused(text: str) -> AwsError:
    return AwsError(text, code="ValidationError")


def _place(token: str | None) -> int:
    """Return how much earlier pages showed."""
    try:
        return int(tokens.decode(token, int)) if token else 0
    except ValueError:
        raise AwsError("The value for parameter NextToken is invalid.", code="InvalidNextToken") from None


def _result(call: Call, request: Mapping[str, Any], query: Mapping[str, Any]) -> dict[str, Any] | None:
    if "MetricStat" not in query:
        raise _refused(f"MetricDataQueries '{query['Id']}': Expression is not served; give a MetricStat.")
    if query.get("ReturnData") is False:
        return None
    wanted = query["MetricStat"]
    metric = wanted["Metric"]
    check_statistic(wanted["Stat"])
    _check_times(request["StartTime"], request["EndTime"], int(wanted["Period"]))
    dimensions = _dimensions(metric.get("Dimensions"))
    points = _points(
        call, metric["Namespace"], metric["MetricName"], dimensions, request["StartTime"], request["EndTime"]
    )
    pairs = [
        (from_epoch_ms(ms), statistic(wanted["Stat"], values))
        for ms, values in buckets(_of_unit(points, wanted.get("Unit")), int(wanted["Period"])).items()
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
    """Return one page of the metrics that have points."""
    begin = _place(request.get("NextToken"))
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
    answer: dict[str, Any] = {"Metrics": shown[begin : begin + PAGE]}
    return answer | ({"NextToken": tokens.encode(begin + PAGE)} if begin + PAGE < len(shown) else {})
