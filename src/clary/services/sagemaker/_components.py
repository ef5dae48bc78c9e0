"""Trial components from the inside: their trials, and the summaries of what was logged in them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.engine import jobmetrics
from clary.kernel.clock import from_epoch_ms
from clary.resource.call import Call
from clary.store.records import Record
from clary.store.trials import Point

LAST_STEP = "LastStep"
"""Of a metric's summary: the step of `Last`, which the wire does not show."""
DIMENSIONS = {"training-job": "TrainingJobName"}
"""Jobs whose metrics are points of CloudWatch, by the kind in their ARN."""


def with_parent(component: Record, trial: Record) -> Record:
    """Return the component as a part of the trial; the same one where it is already."""
    parents = list(component.document.get("Parents", ()))
    if any(each["TrialName"] == trial.key for each in parents):
        return component
    parents.append({"TrialName": trial.key, "ExperimentName": trial.document["ExperimentName"]})
    return replace(component, document={**component.document, "Parents": parents})


def logged(
    metrics: Iterable[Mapping[str, Any]], points: Iterable[Point], source: str
) -> list[dict[str, Any]]:
    """Return summaries of metrics after some more points.

    Parameters
    ----------
    metrics : iterable of mapping
        `TrialComponentMetricSummary` structures so far.
    source : str
        ARN of what logged them.

    Notes
    -----
    `Last` is the value of the greatest step, then of the latest time. Mean and deviation are carried on by
    the updates of Welford (1962), doi:10.1080/00401706.1962.10490022; the deviation is the population's. A
    value that is no number counts only as `Last`, which it takes away.
    """
    known = {each["MetricName"]: dict(each) for each in metrics}
    for point in points:
        entry = known.setdefault(point.name, {"MetricName": point.name, "SourceArn": source, "Count": 0})
        _add(entry, point)
    return [known[name] for name in sorted(known)]


def _add(entry: dict[str, Any], point: Point) -> None:
    value = point.value
    if not math.isnan(value):
        n = entry["Count"] + 1
        mean = entry.get("Avg", 0.0)
        spread = entry.get("StdDev", 0.0) ** 2 * (n - 1)
        shift = value - mean
        mean += shift / n
        entry["Count"], entry["Avg"] = n, mean
        entry["StdDev"] = math.sqrt(max(0.0, (spread + shift * (value - mean)) / n))
        entry["Min"] = min(entry.get("Min", value), value)
        entry["Max"] = max(entry.get("Max", value), value)
    step = -1 if point.step is None else point.step
    moment = from_epoch_ms(point.ms)
    if (entry.get(LAST_STEP, -1), entry.get("TimeStamp", moment)) <= (step, moment):
        entry |= {LAST_STEP: step, "TimeStamp": moment, "Last": value}
        if math.isnan(value):
            del entry["Last"]


def metrics_of(call: Call, record: Record) -> list[dict[str, Any]]:
    """Return the summaries of a component; of a running job those of its points so far."""
    stored = list(record.document.get("Metrics", ()))
    source = (record.document.get("Source") or {}).get("SourceArn", "")
    if not source or (record.document.get("Status") or {}).get("PrimaryStatus") != "InProgress":
        return stored
    live = call.read(of_job, record.account, record.region, source)
    return [*(each for each in stored if each.get("SourceArn") != source), *live]


def of_job(conn: Connection, account: str, region: str, arn: str) -> list[dict[str, Any]]:
    """Return the summaries of a job's own metrics."""
    return logged((), _points(conn, account, region, arn), arn)


def points_of_job(conn: Connection, account: str, region: str, arn: str, name: str) -> list[Point]:
    """Return the points of one of a job's own metrics; its steps number them from zero."""
    return [point for point in _points(conn, account, region, arn) if point.name == name]


def _points(conn: Connection, account: str, region: str, arn: str) -> Iterator[Point]:
    kind, _, name = arn.rpartition(":")[2].partition("/")
    dimension = DIMENSIONS.get(kind)
    if dimension is None:
        return
    for metric, values in jobmetrics.series(conn, account, region, {dimension: name}).items():
        for step, (ms, value) in enumerate(values):
            yield Point(metric, ms, step, value)
