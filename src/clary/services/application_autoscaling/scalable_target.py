"""ScalableTarget: a variant whose number of instances may move between two bounds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.errors import AwsError, ValidationException
from clary.resource.call import Call, as_tags
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.application_autoscaling import _shared as shared
from clary.services.application_autoscaling._target_machine import MACHINE
from clary.serving import components
from clary.store import records, tags, work
from clary.store.records import Record
from clary.store.work import Work

NOUN = "ScalableTarget"
SUSPENDED = {
    "DynamicScalingInSuspended": False,
    "DynamicScalingOutSuspended": False,
    "ScheduledScalingSuspended": False,
}

SCALABLE_TARGET = Resource(noun=NOUN, key="ResourceId", arn="scalable-target/{ResourceId}", machine=MACHINE)


@operation("RegisterScalableTarget")
def register_scalable_target(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Register a variant, or change the bounds of one that is."""
    endpoint, variant = shared.variant_of(request)
    key = shared.key_of(request)
    known: Record | None = call.read(records.find, call.account, call.region, NOUN, key)
    document = dict(known.document) if known else {}
    given = {name: value for name, value in request.items() if name != "Tags"}
    document |= given
    for member in ("MinCapacity", "MaxCapacity"):
        if member not in document:
            raise ValidationException(f"{member} is required to register a scalable target.")
    if document["MinCapacity"] > document["MaxCapacity"]:
        raise ValidationException(
            f"MinCapacity ({document['MinCapacity']}) must not be larger than MaxCapacity "
            f"({document['MaxCapacity']})."
        )
    _check_variant(call, endpoint, variant)
    document["SuspendedState"] = {**SUSPENDED, **document.get("SuspendedState", {})}
    document.setdefault(
        "RoleARN",
        f"arn:aws:iam::{call.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    )
    arn = (
        known.arn
        if known
        else shared.arn_of(call, "application-autoscaling", f"scalable-target/{ids.short(28)}")
    )

    def unit(conn: Connection) -> None:
        if known:
            records.update(conn, replace(known, document=document, modified=call.now))
        else:
            records.insert(
                conn,
                Record(
                    account=call.account,
                    region=call.region,
                    noun=NOUN,
                    key=key,
                    arn=arn,
                    status="Registered",
                    created=call.now,
                    modified=call.now,
                    document={**document, "ScalableTargetARN": arn},
                ),
            )
            work.arm(conn, Work(arn=arn, noun=NOUN, state=MACHINE.start, due=call.now))
        tags.put(conn, arn, dict(request.get("Tags", {})))
        work.wake(conn, arn, call.now)

    call.write(unit)
    call.world.nudge(arn)
    return {"ScalableTargetARN": arn}


def _check_variant(call: Call, endpoint: str, variant: str) -> None:
    record: Record | None = call.read(shared.resource_of, call.account, call.region, endpoint)
    if record is not None and record.noun == "InferenceComponent":
        return
    if components.named(endpoint):
        raise ValidationException(f'Could not find inference component "{components.named(endpoint)}".')
    plan = record.private.get("plan", {"variants": []}) if record else None
    known = [each["VariantName"] for each in plan["variants"]] if plan else []
    if record is None:
        raise ValidationException(f'Could not find endpoint "{endpoint}".')
    if variant not in known:
        raise ValidationException(
            f"ResourceId: endpoint {endpoint} has no variant '{variant}'; it has: {', '.join(sorted(known))}."
        )


@operation("DescribeScalableTargets")
def describe_scalable_targets(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the registered targets."""
    shared.check_namespace(request)
    names = request.get("ResourceIds")
    found = [
        {**record.document, "CreationTime": record.created}
        for record in call.read(shared.every, call.account, call.region, NOUN)
        if (not names or record.document["ResourceId"] in names)
        and request.get("ScalableDimension") in {None, record.document["ScalableDimension"]}
    ]
    return shared.page_of(call, request, found, "ScalableTargets")


@operation("DeregisterScalableTarget")
def deregister_scalable_target(call: Call, request: Mapping[str, Any]) -> None:
    """Let a variant's capacity be: its policies and actions go with it."""
    shared.variant_of(request)
    target = shared.target_of(call, request)

    def unit(conn: Connection) -> None:
        for noun in ("ScalingPolicy", "ScheduledAction"):
            for each in shared.of_target(conn, target, noun):
                records.delete(conn, each.account, each.region, noun, each.key)
        records.delete(conn, target.account, target.region, NOUN, target.key)
        work.drop(conn, target.arn)
        tags.drop(conn, target.arn)

    call.write(unit)


@operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a target."""
    arn = _target_arn(call, request)
    return {"Tags": {each["Key"]: each["Value"] for each in as_tags(call.read(tags.of, arn))}}


@operation("TagResource")
def tag_resource(call: Call, request: Mapping[str, Any]) -> None:
    """Add tags to a target."""
    call.write(tags.put, _target_arn(call, request), dict(request["Tags"]))


@operation("UntagResource")
def untag_resource(call: Call, request: Mapping[str, Any]) -> None:
    """Take tags from a target."""
    call.write(tags.remove, _target_arn(call, request), list(request["TagKeys"]))


def _target_arn(call: Call, request: Mapping[str, Any]) -> str:
    arn: str = request["ResourceARN"]
    call.own(arn)
    record: Record | None = call.read(records.find_by_arn, arn)
    if record is None or record.noun != NOUN:
        raise AwsError(f"There is no scalable target {arn}.", code="ResourceNotFoundException")
    return arn
