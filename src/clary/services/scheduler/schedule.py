"""Schedule: an operation that is called at times; universal targets of the services that Clary serves."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError, ConflictException, ValidationException
from clary.kernel.registry import stems
from clary.resource import tokens
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.scheduler import _schedule_machine as machine
from clary.serving.scaling import schedule
from clary.store import listing, records, work
from clary.store.base import Duplicate
from clary.store.listing import Query
from clary.store.records import Record
from clary.store.work import Work
from clary.wire.service import service as service_model

NOUN = "Schedule"
GROUP = "default"
PAGE = 100

SCHEDULE = Resource(noun=NOUN, key="Name", arn="schedule/default/{Name}", machine=machine.MACHINE)
"""For its machine; the verbs are REST's own, below."""


def _checked(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a Create or Update, what is not said filled in.

    Raises
    ------
    ValidationException
        The schedule cannot be read, or its target cannot be called.
    """
    _check_group(request)
    zone = request.get("ScheduleExpressionTimezone", "UTC")
    try:
        schedule.parse(request["ScheduleExpression"], zone, since=call.now)
    except ValueError as error:
        raise ValidationException(f"ScheduleExpression: {error}") from None
    target = request["Target"]
    service, name = machine.operation_of(target["Arn"])
    served = {each.replace("_", "-") for each in stems("clary.services")} - {"s3"}
    if not target["Arn"].startswith(machine.TARGET) or service not in served:
        raise ValidationException(
            f"Target.Arn '{target['Arn']}' must be {machine.TARGET}<service>:<operation>, with a service of: "
            f"{', '.join(sorted(served))}."
        )
    if name not in service_model(service).operations:
        raise ValidationException(f"Target.Arn: {service} has no operation {name}.")
    if call.own(target["RoleArn"]).service != "iam":
        raise ValidationException(f"Target.RoleArn '{target['RoleArn']}' is no role.")
    try:
        is_object = isinstance(json.loads(target.get("Input") or "{}"), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise ValidationException("Target.Input must be a JSON object: the operation's own members.")
    kept = {name: value for name, value in request.items() if name != "ClientToken"}
    return {
        "GroupName": GROUP,
        "State": "ENABLED",
        "ScheduleExpressionTimezone": "UTC",
        "ActionAfterCompletion": "NONE",
        **kept,
    }


def _check_group(request: Mapping[str, Any]) -> None:
    if request.get("GroupName", GROUP) != GROUP:
        raise AwsError(
            f"Schedule group {request['GroupName']} does not exist; the one group is '{GROUP}'.",
            code="ResourceNotFoundException",
            status=404,
        )


def find(call: Call, request: Mapping[str, Any]) -> Record:
    """Return the schedule that a request names.

    Raises
    ------
    AwsError
        `ResourceNotFoundException`: there is none.
    """
    _check_group(request)
    found: Record | None = call.read(records.find, call.account, call.region, NOUN, request["Name"])
    if found is None:
        raise AwsError(
            f"Schedule {request['Name']} does not exist.", code="ResourceNotFoundException", status=404
        )
    return found


@operation("CreateSchedule")
def create_schedule(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Begin to call an operation at times."""
    document, name = _checked(call, request), request["Name"]
    where = f"schedule/{GROUP}/{name}"
    arn = str(Arn(service="scheduler", region=call.region, account=call.account, resource=where))
    record = Record(call.account, call.region, NOUN, name, arn, "", call.now, call.now, document)

    def unit(conn: Connection) -> None:
        records.insert(conn, record)
        work.arm(conn, Work(arn=arn, noun=NOUN, state=machine.MACHINE.start, due=call.now))

    try:
        call.write(unit)
    except Duplicate:
        raise ConflictException(f"Schedule {name} already exists.") from None
    call.world.nudge(arn)
    return {"ScheduleArn": arn}


@operation("UpdateSchedule")
def update_schedule(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace a schedule: what is not said has its default again."""
    document = _checked(call, request)

    def change(current: Record) -> Record:
        return replace(current, document=document, modified=call.now)

    return {"ScheduleArn": call.amend(find(call, request), change, is_waking=True).arn}


@operation("GetSchedule")
def get_schedule(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one."""
    record = find(call, request)
    times = {"CreationDate": record.created, "LastModificationDate": record.modified}
    return {**record.document, "Arn": record.arn, **times}


@operation("DeleteSchedule")
def delete_schedule(call: Call, request: Mapping[str, Any]) -> None:
    """Stop calling."""
    record = find(call, request)
    call.write(records.delete, record.account, record.region, NOUN, record.key)
    call.world.wake(record.arn)


@operation("ListSchedules")
def list_schedules(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the schedules, by name."""
    if "GroupName" in request:
        _check_group(request)
    try:
        begin = tokens.decode(request["NextToken"], str) if request.get("NextToken") else ""
    except ValueError:
        raise ValidationException("NextToken is not a token that this operation gave out.") from None
    limit = int(request.get("MaxResults", PAGE))
    query = Query(call.account, call.region, NOUN, sort="key", descending=False, limit=10_000)
    found = [
        each
        for each in call.read(listing.page, query).records
        if each.key > begin
        and each.key.startswith(request.get("NamePrefix", ""))
        and request.get("State") in {None, each.document["State"]}
    ]
    answer: dict[str, Any] = {"Schedules": [_summary(each) for each in found[:limit]]}
    return answer | ({"NextToken": tokens.encode(found[limit - 1].key)} if len(found) > limit else {})


def _summary(record: Record) -> dict[str, Any]:
    return {
        "Arn": record.arn,
        "Name": record.key,
        "GroupName": GROUP,
        "State": record.document["State"],
        "CreationDate": record.created,
        "LastModificationDate": record.modified,
        "Target": {"Arn": record.document["Target"]["Arn"]},
    }
