"""Metrics of jobs: points to CloudWatch's names, the last of each to `FinalMetricDataList`."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel.clock import from_epoch_ms
from clary.store import metrics

NAMESPACE = "/aws/sagemaker/TrainingJobs"
"""Namespace that the SDK's analytics read."""
ENDPOINTS = "/aws/sagemaker/Endpoints"
"""Namespace of what the instances of endpoints use."""


_UNITS = {
    "AcceleratorMemoryUsage": "Bytes",
    "AcceleratorTotalInferenceCount": "Count",
    "AcceleratorInferenceWithServerErrorCount": "Count",
    "AcceleratorDeviceTime": "Microseconds",
    "AcceleratorQueueTime": "Microseconds",
}
"""Of what agents of endpoints tell; all else is a percentage."""
_MODELS = ("ModelLoadingWaitTime", "ModelDownloadingTime", "ModelLoadingTime", "ModelUnloadingTime")
_UNITS |= {"LoadedModelCount": "None", "IdleMinutes": "None", **dict.fromkeys(_MODELS, "Microseconds")}
_PLACES = dict.fromkeys(_MODELS, "AWS/SageMaker")
"""Namespaces of what stands beside an endpoint's invocations. Source: developer guide, "Monitor Amazon
SageMaker AI with Amazon CloudWatch", multi-model endpoint metrics."""


def append(conn: Connection, document: Mapping[str, Any], points: Iterable[Any], host: str) -> None:
    """Append an agent's points; algo-1 speaks for the job, as each host prints the same figures."""
    if host != "algo-1":
        return
    if document.get("variant"):
        place, unit = ENDPOINTS, "Percent"  # but for those of `_UNITS`
        dimensions = {"EndpointName": document["name"], "VariantName": document["variant"]}
    elif document.get("metric_dimension"):
        group = document.get("metric_group")  # of inference components and notebook instances
        place, unit = (f"/aws/sagemaker/{group}", "Percent") if group else (NAMESPACE, "None")
        dimensions = {document["metric_dimension"]: document["name"]}
    else:
        return
    account, region = document["account"], document["region"]
    rows = [
        (
            account,
            region,
            _PLACES.get(name, place),
            name,
            dimensions,
            int(ms),
            float(value),
            _UNITS.get(name, unit),
        )
        for name, ms, value in points
    ]
    if rows:
        metrics.append(conn, rows)


def final(conn: Connection, account: str, region: str, dimensions: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the last value of every metric of a job, in the shape of `FinalMetricDataList`."""
    return [
        {"MetricName": name, "Value": points[-1][1], "Timestamp": from_epoch_ms(points[-1][0])}
        for name, points in series(conn, account, region, dimensions).items()
    ]


def series(
    conn: Connection, account: str, region: str, dimensions: Mapping[str, str]
) -> dict[str, list[tuple[int, float]]]:
    """Return every metric of a job as (milliseconds, value), in order."""
    return metrics.recorded(conn, account, region, NAMESPACE, dimensions)
