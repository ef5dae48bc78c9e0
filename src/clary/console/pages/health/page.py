"""Health: does each service answer, how soon, and is there room left."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from clary.console.visit import Context, Page, Place, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/health",
    title="Service health",
    places=(Place("Service health", "9 Account", "/health", 92),),
    live_s=3.0,
)
SLOW_S = 0.5
FULL = 0.95
PROBES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("SageMaker", "sagemaker", "ListTrainingJobs", {"MaxResults": 1}),
    ("Security tokens", "sts", "GetCallerIdentity", {}),
    ("Users and roles", "iam", "ListRoles", {"MaxItems": 1}),
    ("Logs", "logs", "DescribeLogGroups", {"limit": 1}),
    ("Metrics and alarms", "cloudwatch", "DescribeAlarms", {"MaxRecords": 1}),
    ("Scaling", "application-autoscaling", "DescribeScalableTargets", {"ServiceNamespace": "sagemaker"}),
    ("Schedules", "scheduler", "ListSchedules", {"MaxResults": 1}),
    ("Secrets", "secretsmanager", "ListSecrets", {"MaxResults": 1}),
    ("Notifications", "sns", "ListTopics", {}),
)


def view(visit: Visit) -> Context:
    """Ask each service one cheap question."""
    checks = [_check("Objects", partial(_objects, visit))]
    checks += [
        _check(title, partial(visit.api.call, operation, service, **members))
        for title, service, operation, members in PROBES
    ]
    disk = shutil.disk_usage(visit.data_dir)
    return {
        "checks": checks,
        "is_well": all(each["status"] == "InService" for each in checks),
        "disk": disk,
        "used": disk.used / disk.total,
        "is_full": disk.used / disk.total > FULL,
        "data_dir": visit.data_dir,
    }


def _objects(visit: Visit) -> None:
    """Ask the store itself, where there is a bucket to ask it about."""
    for bucket in visit.api.call("ListBuckets", "s3").get("Buckets", ())[:1]:
        visit.public.listed(bucket["Name"], "")


def _check(title: str, ask: Callable[[], Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        ask()
    except AwsError as error:
        return {
            "title": title,
            "status": "Failed",
            "took_s": time.perf_counter() - begun,
            "why": error.message,
        }
    took_s = time.perf_counter() - begun
    return {"title": title, "status": "InService" if took_s < SLOW_S else "Slow", "took_s": took_s, "why": ""}
