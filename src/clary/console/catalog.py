"""What the forms offer: the built-in algorithms that run here, instance types, folders of data."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from clary.algorithms import base as algorithms
from clary.algorithms.base import Algorithm
from clary.compute import images
from clary.console.visit import Visit
from clary.kernel.errors import AwsError

REGISTRY = "683313688378.dkr.ecr.{region}.amazonaws.com"
"""An account of AWS's own: no customer's registry has these images."""
NEWEST: Mapping[str, str] = {"xgboost": "sagemaker-xgboost:1.7-1"}
"""Where an algorithm's image of today has another name. Source: `image_uris.retrieve` of the SDK."""
TYPES = ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.xlarge", "ml.c5.2xlarge")
MOST_FOLDERS, MOST_LOOKS = 100, 25


@cache
def repositories() -> Mapping[str, str]:
    """Return the repository of every built-in algorithm that runs on this machine, by its own name."""
    here = images.runnable()
    return {
        images.resolve(f"{REGISTRY.format(region='us-east-1')}/{each}:1").name: each
        for each in images.ALGORITHMS
        if each in here
    }


def image_of(name: str, region: str) -> str:
    """Return the image of a built-in algorithm, as the SDK spells it."""
    repository = repositories()[name]
    return f"{REGISTRY.format(region=region)}/{NEWEST.get(repository, f'{repository}:1')}"


def algorithm_of(job: Mapping[str, Any]) -> Algorithm | None:
    """Return the built-in algorithm that a described training job ran; None for a script or a container."""
    image = job["AlgorithmSpecification"].get("TrainingImage", "")
    if not image or "sagemaker_program" in job.get("HyperParameters", {}):
        return None
    try:
        runtime = images.resolve(image, job["RoleArn"])
    except AwsError:
        return None
    known = runtime.kind in {"builtin", "framework"} and runtime.name in repositories()
    return algorithms.find(runtime.name) if known else None


def default_bucket(visit: Visit) -> str:
    """Return the bucket that the SageMaker SDK would take."""
    return f"sagemaker-{visit.api.region}-{visit.api.key.account}"


def provide(visit: Visit, uri: str) -> None:
    """Make the SDK's default bucket, where an address lies in it and it is not there yet."""
    bucket = default_bucket(visit)
    if uri.startswith(f"s3://{bucket}/"):
        with suppress(AwsError):  # where it cannot be made, the job says so
            make_bucket(visit, bucket)


def make_bucket(visit: Visit, name: str) -> None:
    """Make a bucket in the region that is shown.

    Raises
    ------
    AwsError
        The name is taken, or is none.
    """
    region = visit.api.region
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    visit.api.call("CreateBucket", "s3", Bucket=name, **place)


def folders(visit: Visit) -> list[str]:
    """Return addresses of folders in the account's buckets, upper ones first; some, where there are many."""
    found: list[str] = []
    waiting = [(each["Name"], "") for each in (visit.api.seek("ListBuckets", "s3") or {}).get("Buckets", ())]
    for bucket, prefix in waiting:
        found.append(f"s3://{bucket}/{prefix}")
        if len(waiting) >= MOST_FOLDERS or len(found) > MOST_LOOKS:
            continue
        try:
            below = visit.public.listed(bucket, prefix).folders
        except AwsError:
            continue
        waiting.extend((bucket, each) for each in below)
    return found[:MOST_FOLDERS]
