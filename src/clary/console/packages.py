"""Models of the registry: how addresses name them, and the figures that they were registered with."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from clary.console.visit import Missing, Visit
from clary.kernel.errors import AwsError

MOST_BYTES = 1 << 20
"""Of a file of figures."""
MOST_FIGURES = 40
DEEPEST = 4
"""Levels of a file of figures that are looked at."""
QUALITY = (("ModelQuality", "Statistics"), ("ModelDataQuality", "Statistics"))
"""Files of figures in a package's ModelMetrics."""


def slug(package: Mapping[str, Any]) -> str:
    """Return a package's name in addresses: `churn:3` for a version, `churn` for one of its own."""
    return str(package["ModelPackageArn"].partition(":model-package/")[2]).replace("/", ":")


def described(visit: Visit, name: str) -> Mapping[str, Any]:
    """Describe the package that an address names.

    Raises
    ------
    Missing
        There is none.
    """
    arn = (
        f"arn:aws:sagemaker:{visit.api.region}:{visit.api.key.account}:model-package/{name.replace(':', '/')}"
    )
    try:
        return visit.api.call("DescribeModelPackage", ModelPackageName=arn)
    except AwsError as error:
        raise Missing(f"Model package {name}: {error.message}") from None


def who(context: Mapping[str, Any] | None) -> str:
    """Return who did something: a Studio user, or the last of an ARN."""
    context = context or {}
    arn = str(context.get("IamIdentity", {}).get("Arn", ""))
    return str(context.get("UserProfileName") or arn.rpartition(":")[2].partition("/")[2])


def figures(visit: Visit, package: Mapping[str, Any]) -> dict[str, float]:
    """Return figures by name: numbers among the customer's own properties, then those of its files."""
    found = {
        name: value
        for name, text in package.get("CustomerMetadataProperties", {}).items()
        if (value := _number(text)) is not None
    }
    for part, member in QUALITY:
        uri = package.get("ModelMetrics", {}).get(part, {}).get(member, {}).get("S3Uri", "")
        found |= dict(numbers(_read(visit, uri)))
    return dict(list(found.items())[:MOST_FIGURES])


def _read(visit: Visit, uri: str) -> Any:
    """Return a document in S3; None where there is none that can be read."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key:
        return None
    try:
        return json.loads(visit.public.get(bucket, key, limit_bytes=MOST_BYTES).body)
    except (AwsError, ValueError, RecursionError):
        return None


def numbers(document: Any, name: str = "", depth: int = DEEPEST) -> Iterator[tuple[str, float]]:
    """Yield figures as evaluations have them: `{"auc": {"value": 0.9}}`, below the kind of their problem."""
    if not isinstance(document, Mapping) or not depth:
        return
    if name and (value := _number(document.get("value"))) is not None:
        yield name, value
        return
    for key, inner in document.items():
        yield from numbers(inner, str(key), depth - 1)


def _number(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and not isinstance(value, bool) else None
