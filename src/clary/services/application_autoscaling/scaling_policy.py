"""ScalingPolicy: how a target's capacity follows a metric."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.application_autoscaling import _demand as demand
from clary.services.application_autoscaling import _shared as shared
from clary.store import records
from clary.store.records import Record

NOUN = "ScalingPolicy"
STEP, TRACKING = "StepScalingPolicyConfiguration", "TargetTrackingScalingPolicyConfiguration"
_CONFIGURATION = {"StepScaling": STEP, "TargetTrackingScaling": TRACKING}
_ADJUSTMENTS = ("ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity")


@operation("PutScalingPolicy")
def put_scaling_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a policy, or give one of that name other terms."""
    shared.variant_of(request)
    target = shared.target_of(call, request)
    key = shared.key_of(request, request["PolicyName"])
    known: Record | None = call.read(records.find, call.account, call.region, NOUN, key)
    kind = request.get("PolicyType") or (known.document["PolicyType"] if known else "StepScaling")
    member = _CONFIGURATION.get(kind)
    if member is None:
        raise ValidationException(f"PolicyType '{kind}' is not served; use {' or '.join(_CONFIGURATION)}.")
    if member not in request:
        raise ValidationException(f"{member} is required for a policy of type {kind}.")
    _CHECKS[kind](request[member])
    arn = (
        known.arn
        if known
        else shared.arn_of(
            call,
            "autoscaling",
            f"scalingPolicy:{ids.request_id()}:resource/sagemaker/{request['ResourceId']}"
            f":policyName/{request['PolicyName']}",
        )
    )
    shared.put(call, NOUN, key, arn, {**request, "PolicyType": kind, "PolicyARN": arn})
    call.world.wake(target.arn)
    return {"PolicyARN": arn, "Alarms": []}


def _check_tracking(terms: Mapping[str, Any]) -> None:
    given = [
        each for each in ("PredefinedMetricSpecification", "CustomizedMetricSpecification") if each in terms
    ]
    if len(given) != 1:
        raise ValidationException(
            f"{TRACKING}: give one of PredefinedMetricSpecification and CustomizedMetricSpecification; "
            f"there is {' and '.join(given) or 'none'}."
        )
    if terms["TargetValue"] <= 0:
        raise ValidationException(f"{TRACKING}: TargetValue must be above 0; it is {terms['TargetValue']}.")
    metric = terms[given[0]]
    if given[0].startswith("Predefined"):
        if metric["PredefinedMetricType"] not in demand.PREDEFINED:
            raise ValidationException(
                f"PredefinedMetricType '{metric['PredefinedMetricType']}' is not served; use "
                f"{' or '.join(demand.PREDEFINED)}."
            )
        return
    if "Metrics" in metric:
        raise ValidationException(
            "CustomizedMetricSpecification.Metrics: metric maths is not served; give MetricName, Namespace "
            "and Statistic."
        )
    for member in ("MetricName", "Namespace", "Statistic"):
        if member not in metric:
            raise ValidationException(f"CustomizedMetricSpecification: {member} is required.")


def _check_steps(terms: Mapping[str, Any]) -> None:
    if terms.get("AdjustmentType") not in _ADJUSTMENTS:
        raise ValidationException(
            f"{STEP}: AdjustmentType '{terms.get('AdjustmentType', '')}' must be one of "
            f"{', '.join(_ADJUSTMENTS)}."
        )
    steps = terms.get("StepAdjustments", ())
    if not steps:
        raise ValidationException(f"{STEP}: StepAdjustments must have at least one step.")
    spans = sorted(
        (
            step.get("MetricIntervalLowerBound", float("-inf")),
            step.get("MetricIntervalUpperBound", float("inf")),
        )
        for step in steps
    )
    if any(low >= high for low, high in spans):
        raise ValidationException(f"{STEP}: a step's lower bound must be below its upper bound.")
    if any(before[1] != after[0] for before, after in pairwise(spans)):
        raise ValidationException(f"{STEP}: StepAdjustments must neither overlap nor leave gaps.")


_CHECKS = {"StepScaling": _check_steps, "TargetTrackingScaling": _check_tracking}


@operation("DescribeScalingPolicies")
def describe_scaling_policies(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the policies."""
    shared.check_namespace(request)
    names = request.get("PolicyNames")
    found = [
        {"Alarms": [], **record.document, "CreationTime": record.created}
        for record in call.read(shared.every, call.account, call.region, NOUN)
        if shared.is_wanted(record, request) and (not names or record.document["PolicyName"] in names)
    ]
    return shared.page_of(call, request, found, "ScalingPolicies")


@operation("DeleteScalingPolicy")
def delete_scaling_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a policy; the capacity stays as it is."""
    key = shared.key_of(request, request["PolicyName"])

    def unit(conn: Connection) -> bool:
        return records.delete(conn, call.account, call.region, NOUN, key)

    shared.variant_of(request)
    if not call.write(unit):
        raise shared.missing(f"No scaling policy found for {request['ResourceId']}: {request['PolicyName']}")
