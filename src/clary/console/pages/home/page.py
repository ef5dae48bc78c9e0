"""Home: what runs now and what it costs, what failed lately and why, what idles."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clary.console import curves
from clary.console.kinds import KINDS, Kind
from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(path=r"/", title="Home", places=(Place("Home", "0 Overview", "/", 0),))
LATELY = timedelta(days=7)
SHOWN = 8
IDLE = timedelta(hours=1)
RECENT = timedelta(minutes=5)
"""What an instance told before that, is over."""


def view(visit: Visit) -> Context:
    """Collect the running, the failed and the idle."""
    running = [row for kind in KINDS.values() for row in _jobs(visit, kind, "InProgress")]
    failed = sorted(
        (row for kind in KINDS.values() for row in _jobs(visit, kind, "Failed", since=visit.now - LATELY)),
        key=lambda row: row["created"],
        reverse=True,
    )[:SHOWN]
    for row in failed:
        row["reason"] = _described(visit, row["kind"], row["name"]).get("FailureReason", "")
    endpoints = list((visit.api.seek("ListEndpoints", MaxResults=100) or {}).get("Endpoints", ()))
    prices = visit.costs.prices()
    hourly = sum(_hourly(visit, row, prices) for row in running[:50]) + sum(
        _endpoint_hourly(visit, each, prices) for each in endpoints if each["EndpointStatus"] == "InService"
    )
    listed = visit.api.seek("ListNotebookInstances", StatusEquals="InService", MaxResults=100) or {}
    notebooks = listed.get("NotebookInstances", ())
    hourly += sum(prices.get(each["InstanceType"], 0.0) for each in notebooks)
    return {
        "running": running,
        "failed": failed,
        "endpoints": endpoints,
        "idle": [each for each in endpoints if _is_idle(visit, each)],
        "left": [
            {
                "name": each["NotebookInstanceName"],
                "idle": minutes,
                "hourly": prices.get(each["InstanceType"]),
            }
            for each in notebooks
            if (minutes := _unused(visit, each["NotebookInstanceName"])) >= IDLE
        ],
        "hourly": hourly,
    }


def _jobs(visit: Visit, kind: Kind, status: str, **since: Any) -> list[dict[str, Any]]:
    created = {"CreationTimeAfter": since["since"]} if since else {}
    answer = visit.api.seek(
        kind.list_operation,
        StatusEquals=status,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=20,
        **created,
    )
    return [
        {"kind": kind, "name": each[kind.name], "created": each["CreationTime"], "status": each[kind.status]}
        for each in (answer or {}).get(kind.summaries, ())
    ]


def _described(visit: Visit, kind: Kind, name: str) -> Mapping[str, Any]:
    return visit.api.seek(f"Describe{kind.noun}", **{kind.name: name}) or {}


def _hourly(visit: Visit, row: Mapping[str, Any], prices: Mapping[str, float]) -> float:
    document = _described(visit, row["kind"], row["name"])
    resources = (
        document.get("ResourceConfig")
        or document.get("TransformResources")
        or document.get("ProcessingResources", {}).get("ClusterConfig")
        or {}
    )
    rate: float = prices.get(resources.get("InstanceType", ""), 0.0)
    return rate * float(resources.get("InstanceCount", 0))


def _endpoint_hourly(visit: Visit, endpoint: Mapping[str, Any], prices: Mapping[str, float]) -> float:
    described = visit.api.seek("DescribeEndpoint", EndpointName=endpoint["EndpointName"]) or {}
    config = (
        visit.api.seek("DescribeEndpointConfig", EndpointConfigName=described.get("EndpointConfigName")) or {}
    )
    counts = {
        each["VariantName"]: each.get("CurrentInstanceCount", 0)
        for each in described.get("ProductionVariants", ())
    }
    total: float = sum(
        prices.get(each.get("InstanceType", ""), 0.0) * counts.get(each["VariantName"], 0)
        for each in config.get("ProductionVariants", ())
    )
    return total


def _is_idle(visit: Visit, endpoint: Mapping[str, Any]) -> bool:
    """Tell whether an endpoint in service, older than an hour, was not asked in the last one."""
    if endpoint["EndpointStatus"] != "InService" or endpoint["CreationTime"] > visit.now - IDLE:
        return False
    name = endpoint["EndpointName"]
    described = visit.api.seek("DescribeEndpoint", EndpointName=name) or {}
    return not any(
        curves.points(
            visit.api,
            "AWS/SageMaker",
            [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": each["VariantName"]}],
            ["Invocations"],
            "Sum",
            period_s=3600,
            since=visit.now - IDLE,
            until=visit.now,
        )
        for each in described.get("ProductionVariants", ())
    )


def _unused(visit: Visit, notebook: str) -> timedelta:
    """Return for how long nobody has used a notebook instance, as it tells itself."""
    found = curves.points(
        visit.api,
        "/aws/sagemaker/NotebookInstances",
        [{"Name": "NotebookInstanceName", "Value": notebook}],
        ["IdleMinutes"],
        "Minimum",
        period_s=60,
        since=visit.now - RECENT,
        until=visit.now,
    )
    curve = found.get("IdleMinutes")
    return timedelta(minutes=curve["series"][0]["values"][-1]) if curve else timedelta()
