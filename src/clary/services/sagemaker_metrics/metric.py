"""Metrics of trial components and jobs: put in batches, got as series by step or time."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.clock import epoch_ms
from clary.kernel.errors import ConflictException
from clary.resource.call import AMEND_TRIES, Call
from clary.resource.operation import operation
from clary.services.sagemaker import _components as components
from clary.store import records, trials
from clary.store.base import Stale
from clary.store.records import Record
from clary.store.trials import Point

MAX_VALUES = 3_000
"""Points of one series that an answer holds; more are `Truncated`."""
PERIODS_S = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": lambda values: math.fsum(values) / len(values),
    "Count": len,
    "StdDev": lambda values: math.sqrt(
        math.fsum((value - math.fsum(values) / len(values)) ** 2 for value in values) / len(values)
    ),
    "Last": lambda values: values[-1],
}


@operation("BatchPutMetrics")
def batch_put_metrics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Log points of a trial component, and carry its summaries on; all of them or none."""
    points = [
        Point(each["MetricName"], epoch_ms(each["Timestamp"]), each.get("Step"), each["Value"])
        for each in request["MetricData"]
    ]
    bad = [n for n, point in enumerate(points) if not math.isfinite(point.value)]
    if bad:
        return {"Errors": [{"Code": "VALIDATION_ERROR", "MetricIndex": n} for n in bad]}
    if not log(call, request["TrialComponentName"], points):
        return {"Errors": [{"Code": "VALIDATION_ERROR", "MetricIndex": n} for n in range(len(points))]}
    return {}


def log(call: Call, component: str, points: Iterable[Point]) -> bool:
    """Write points of a trial component with its summaries; say whether there is such a component."""
    kept = list(points)

    def unit(conn: Connection) -> bool:
        record = records.find(conn, call.account, call.region, "TrialComponent", component)
        if record is None:
            return False
        trials.append(conn, record.arn, kept)
        summaries = components.logged(record.document.get("Metrics", ()), kept, record.arn)
        document = {**record.document, "Metrics": summaries}
        records.update(
            conn, replace(record, document=document, modified=call.now), expected_version=record.version
        )
        return True

    for _ in range(AMEND_TRIES):
        try:
            is_there: bool = call.write(unit)
        except Stale:  # another wrote in between: on PostgreSQL alone
            continue
        return is_there
    raise ConflictException(f"trial component '{component}' is being changed by others; try again.")


@operation("BatchGetMetrics")
def batch_get_metrics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return series, each by iteration or by periods of time, as one statistic of every place."""
    return {"MetricQueryResults": [_answer(call, query) for query in request["MetricQueries"]]}


def _answer(call: Call, query: Mapping[str, Any]) -> dict[str, Any]:
    arn = query["ResourceArn"]
    call.own(arn)
    is_by_step = query["XAxisType"] == "IterationNumber"
    if is_by_step != (query["Period"] == "IterationNumber"):
        text = f"Period {query['Period']} does not go with XAxisType {query['XAxisType']}."
        return {"Status": "ValidationError", "Message": text, "XAxisValues": [], "MetricValues": []}
    record = call.read(records.find_by_arn, arn)
    if record is None:
        text = f"Could not find resource with ARN '{arn}'."
        return {"Status": "ValidationError", "Message": text, "XAxisValues": [], "MetricValues": []}
    places: dict[int, list[float]] = {}
    for point in points_of(call, record, query["MetricName"]):
        place = _place(point, query["Period"])
        if place is not None and not math.isnan(point.value):
            places.setdefault(place, []).append(point.value)
    first, last = query.get("Start", -(2**63)), query.get("End", 2**63)
    chosen = [place for place in sorted(places) if first <= place <= last]
    statistic = STATISTICS[query["MetricStat"]]
    return {
        "Status": "Complete" if len(chosen) <= MAX_VALUES else "Truncated",
        "XAxisValues": chosen[:MAX_VALUES],
        "MetricValues": [float(statistic(places[place])) for place in chosen[:MAX_VALUES]],
    }


def points_of(call: Call, record: Record, name: str) -> list[Point]:
    """Return the points of one metric of a trial component or a job, in the order they came.

    Those of a job, and of the component that it left, are numbered as they came: their steps.
    """
    found = [point for _, point in call.read(trials.points, record.arn, name)]
    source = (record.document.get("Source") or {}).get("SourceArn", record.arn)
    return found or call.read(components.points_of_job, record.account, record.region, source, name)


def _place(point: Point, period: str) -> int | None:
    if period == "IterationNumber":
        return point.step
    length_s = PERIODS_S[period]
    return point.ms // 1000 // length_s * length_s
