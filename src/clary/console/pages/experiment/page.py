"""One experiment: its runs side by side, as a table and as curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.console.visit import Context, Missing, Page, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/experiments/([^/]+)",
    title="Experiment",
    scripts=("vendor/uPlot.min.css", "vendor/uPlot.iife.min.js"),
    live_s=2.0,
)
MOST_RUNS = 50
"""Listed; the best, or the newest."""
DRAWN = 6
"""Runs whose curves are drawn: those that are ticked, or the first of the table."""
MOST_METRICS = 12


def view(visit: Visit) -> Context:
    """Compare the runs of one experiment."""
    name = visit.arguments[0]
    try:
        experiment = visit.api.call("DescribeExperiment", ExperimentName=name)
    except AwsError as error:
        raise Missing(f"Experiment {name}: {error.message}") from None
    sort = visit.query.get("sort", "CreationTime")
    order = "Ascending" if visit.query.get("order") == "Ascending" else "Descending"
    found = [_run(each) for each in _components(visit, name, sort, order)]
    chosen = [each for each in visit.query.get("runs", "").split(",") if each]
    drawn = ([each for each in found if each["name"] in chosen] or found)[:DRAWN]
    metrics = sorted({metric for each in found for metric in each["metrics"]})
    return {
        "experiment": experiment,
        "name": name,
        "title": experiment.get("DisplayName", name),
        "here": "/experiments",
        "runs": found,
        "drawn": {each["name"] for each in drawn},
        "parameters": sorted({parameter for each in found for parameter in each["parameters"]}),
        "metrics": metrics,
        "asked": {"sort": sort, "order": order, "runs": ",".join(chosen)},
        "charts": _charts(visit, drawn, metrics[:MOST_METRICS]),
    }


def _components(visit: Visit, name: str, sort: str, order: str) -> list[Mapping[str, Any]]:
    asked: dict[str, Any] = {
        "Resource": "ExperimentTrialComponent",
        "SearchExpression": {
            "Filters": [{"Name": "Parents.ExperimentName", "Operator": "Equals", "Value": name}]
        },
        "SortOrder": order,
        "MaxResults": MOST_RUNS,
    }
    answer = visit.api.seek("Search", **asked, SortBy=sort) or visit.api.call("Search", **asked)
    return [each["TrialComponent"] for each in answer.get("Results", ())]


def _run(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial component as the table and the curves take it."""
    values = component.get("Parameters", {})
    name, job = component["TrialComponentName"], ""
    for kind in ("training", "processing", "transform"):
        if name.endswith(f"-aws-{kind}-job"):
            job = f"/jobs/{kind}/{name.removesuffix(f'-aws-{kind}-job')}"
    return {
        "name": name,
        "title": component.get("DisplayName", name),
        "arn": component["TrialComponentArn"],
        "job": job,
        "trials": [each["TrialName"] for each in component.get("Parents", ())],
        "status": component.get("Status", {}).get("PrimaryStatus", ""),
        "created": component["CreationTime"],
        "parameters": {
            key: value["StringValue"] if "StringValue" in value else f"{value['NumberValue']:g}"
            for key, value in values.items()
        },
        "metrics": {each["MetricName"]: each.get("Last") for each in component.get("Metrics", ())},
    }


def _charts(
    visit: Visit, runs: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return one chart a metric, a line a run, over steps where there are any, else over seconds."""
    charts = {}
    for metric in metrics:
        having = [run for run in runs if metric in run["metrics"]]
        for axis, label in (("IterationNumber", "step"), ("Timestamp", "seconds from the start")):
            lines = _lines(visit, having, metric, axis)
            if lines:
                charts[f"{metric} by {label}"] = _joined(lines)
                break
    return charts


def _lines(
    visit: Visit, runs: Sequence[Mapping[str, Any]], metric: str, axis: str
) -> dict[str, dict[float, float]]:
    if not runs:
        return {}
    period = {"IterationNumber": "IterationNumber", "Timestamp": "OneMinute"}[axis]
    queries = [
        {
            "MetricName": metric,
            "ResourceArn": run["arn"],
            "MetricStat": "Last",
            "Period": period,
            "XAxisType": axis,
        }
        for run in runs
    ]
    answer = visit.api.seek("BatchGetMetrics", "sagemaker-metrics", MetricQueries=queries) or {}
    found = {}
    for run, result in zip(runs, answer.get("MetricQueryResults", ()), strict=False):
        at = result.get("XAxisValues", ())
        if result.get("Status") == "Complete" and at:
            first = at[0] if axis == "Timestamp" else 0
            scale = 1000 if axis == "Timestamp" else 1
            found[run["title"]] = {
                (x - first) / scale: y for x, y in zip(at, result["MetricValues"], strict=True)
            }
    return found


def _joined(lines: Mapping[str, Mapping[float, float]]) -> dict[str, Any]:
    """Return lines over one axis; where a line has no point there is a gap."""
    x = sorted({at for points in lines.values() for at in points})
    series = [
        {"label": name, "values": [points.get(at) for at in x]} for name, points in sorted(lines.items())
    ]
    return {"x": x, "series": series}
