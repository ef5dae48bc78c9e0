"""Metrics as curves: points of CloudWatch, as the pictures take them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clary.console.api import Api

NAMESPACE = "/aws/sagemaker/TrainingJobs"


def of_job(api: Api, name: str) -> dict[str, dict[str, Any]]:
    """Return the curves of a training job by metric: `x` in seconds and one series."""
    dimensions = [{"Name": "TrainingJobName", "Value": name}]
    listed = api.seek("ListMetrics", "cloudwatch", Namespace=NAMESPACE, Dimensions=dimensions) or {}
    names = sorted({metric["MetricName"] for metric in listed.get("Metrics", ())})
    return points(api, NAMESPACE, dimensions, names, "Average", period_s=1)


def points(
    api: Api,
    namespace: str,
    dimensions: Sequence[Mapping[str, str]],
    names: Sequence[str],
    statistic: str,
    *,
    period_s: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, dict[str, Any]]:
    """Return curves of one statistic by metric; metrics without points are left out."""
    if not names:
        return {}
    queries = [
        {
            "Id": f"m{n}",
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": list(dimensions)},
                "Period": period_s,
                "Stat": statistic,
            },
        }
        for n, name in enumerate(names)
    ]
    answer = api.seek(
        "GetMetricData",
        "cloudwatch",
        MetricDataQueries=queries,
        StartTime=since or datetime.fromtimestamp(0, tz=UTC),
        EndTime=until or datetime.fromtimestamp(4_102_444_800, tz=UTC),
        ScanBy="TimestampAscending",
    )
    curves = {}
    for result in (answer or {}).get("MetricDataResults", ()):
        name = names[int(result["Id"][1:])]
        if result["Timestamps"]:
            pairs = sorted(zip(result["Timestamps"], result["Values"], strict=True))
            curves[name] = {
                "x": [at.timestamp() for at, _ in pairs],
                "series": [{"label": name, "values": [value for _, value in pairs]}],
            }
    return curves
