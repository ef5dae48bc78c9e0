"""ScheduledAction: when a target's bounds move by themselves."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.application_autoscaling import _shared as shared
from clary.serving.scaling import schedule
from clary.store import records
from clary.store.records import Record

NOUN = "ScheduledAction"


@operation("PutScheduledAction")
def put_scheduled_action(call: Call, request: Mapping[str, Any]) -> None:
    """Create an action, or change one of that name."""
    shared.variant_of(request)
    target = shared.target_of(call, request)
    key = shared.key_of(request, request["ScheduledActionName"])
    known: Record | None = call.read(records.find, call.account, call.region, NOUN, key)
    terms = {**(known.document if known else {}), **request}
    if "Schedule" not in terms:
        raise ValidationException("Schedule is required: at(…), rate(…) or cron(…).")
    try:
        schedule.parse(terms["Schedule"], terms.get("Timezone", "UTC"), since=call.now)
    except schedule.ScheduleError as error:
        raise ValidationException(f"Schedule: {error}.") from None
    bounds = terms.get("ScalableTargetAction", {})
    if not bounds:
        raise ValidationException("ScalableTargetAction: give MinCapacity, MaxCapacity or both.")
    if bounds.get("MinCapacity", 0) > bounds.get("MaxCapacity", bounds.get("MinCapacity", 0)):
        raise ValidationException(
            f"ScalableTargetAction: MinCapacity ({bounds['MinCapacity']}) must not be larger than "
            f"MaxCapacity ({bounds['MaxCapacity']})."
        )
    name = f"{request['ResourceId']}:scheduledActionName/{request['ScheduledActionName']}"
    arn = (
        known.arn
        if known
        else shared.arn_of(
            call, "autoscaling", f"scheduledAction:{ids.request_id()}:resource/sagemaker/{name}"
        )
    )
    shared.put(call, NOUN, key, arn, {**terms, "ScheduledActionARN": arn})
    call.world.wake(target.arn)


@operation("DescribeScheduledActions")
def describe_scheduled_actions(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the actions."""
    shared.check_namespace(request)
    names = request.get("ScheduledActionNames")
    found = [
        {**record.document, "CreationTime": record.created}
        for record in call.read(shared.every, call.account, call.region, NOUN)
        if shared.is_wanted(record, request)
        and (not names or record.document["ScheduledActionName"] in names)
    ]
    return shared.page_of(call, request, found, "ScheduledActions")


@operation("DeleteScheduledAction")
def delete_scheduled_action(call: Call, request: Mapping[str, Any]) -> None:
    """Delete an action; the bounds stay as they are."""
    shared.variant_of(request)
    key = shared.key_of(request, request["ScheduledActionName"])

    def unit(conn: Connection) -> bool:
        return records.delete(conn, call.account, call.region, NOUN, key)

    if not call.write(unit):
        raise shared.missing(
            f"No scheduled action found for {request['ResourceId']}: {request['ScheduledActionName']}"
        )
