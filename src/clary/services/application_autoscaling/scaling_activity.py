"""ScalingActivity: what was done to a target, why, and whether it came to be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel import ids
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.application_autoscaling import _shared as shared
from clary.store import records
from clary.store.records import Record

NOUN = "ScalingActivity"
KEPT = 200
"""Activities of a target that are kept; AWS keeps six weeks."""


def begin(world: World, target: Record, current: int, wanted: int, cause: str) -> dict[str, Any]:
    """Record that a target is set to another capacity; return what its machine keeps of it."""
    activity_id = ids.request_id()
    now = world.clock()
    document = {
        "ActivityId": activity_id,
        "ServiceNamespace": shared.NAMESPACE,
        "ResourceId": target.document["ResourceId"],
        "ScalableDimension": target.document["ScalableDimension"],
        "Description": f"Setting desired instance count to {wanted}.",
        "Cause": cause,
        "StartTime": now,
        "StatusCode": "InProgress",
        "StatusMessage": f"Successfully set desired instance count to {wanted}. Waiting for change to be "
        "fulfilled by sagemaker.",
    }

    def unit(conn: Connection) -> None:
        records.insert(
            conn,
            Record(
                account=target.account,
                region=target.region,
                noun=NOUN,
                key=f"{target.key}:{activity_id}",
                arn="",
                status="InProgress",
                created=now,
                modified=now,
                document=document,
            ),
        )
        known = shared.of_target(conn, target, NOUN)
        for old in known[:-KEPT]:
            records.delete(conn, old.account, old.region, NOUN, old.key)

    world.store.write(unit)
    return {"key": f"{target.key}:{activity_id}", "wanted": wanted, "from": current}


def follow(world: World, memory: dict[str, Any], endpoint: Record, variant: str) -> None:
    """Say of the activity under way, if there is one, how it ended."""
    mark: Mapping[str, Any] | None = memory.get("activity")
    if mark is None or endpoint.status == "Updating":
        return
    memory["activity"] = None
    served = endpoint.private.get("served", ())
    n = next((len(each["Replicas"]) for each in served if each["VariantName"] == variant), 0)
    is_fulfilled = n == mark["wanted"]
    status = "Successful" if is_fulfilled else "Failed"
    message = (
        f"Successfully set desired instance count to {mark['wanted']}. Change successfully fulfilled by "
        "sagemaker."
        if is_fulfilled
        else f"The variant has {n} instances: "
        + str(endpoint.document.get("FailureReason", "it was changed meanwhile"))
    )

    def unit(conn: Connection) -> None:
        record = records.find(conn, endpoint.account, endpoint.region, NOUN, mark["key"])
        if record is not None:
            ended = {"StatusCode": status, "StatusMessage": message, "EndTime": world.clock()}
            records.update(conn, replace(record, document={**record.document, **ended}, status=status))

    world.store.write(unit)


@operation("DescribeScalingActivities")
def describe_scaling_activities(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the activities, newest first."""
    shared.check_namespace(request)
    found = [
        dict(record.document)
        for record in reversed(call.read(shared.every, call.account, call.region, NOUN))
        if shared.is_wanted(record, request)
    ]
    return shared.page_of(call, request, found, "ScalingActivities")
