"""A schedule's machine: it rests until the next moment, and then calls what the schedule names."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel.arns import Arn
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import AwsError
from clary.serving.scaling import schedule
from clary.store import logs, records
from clary.store.records import Record

LONGEST_REST_S = 3600.0
LATE = timedelta(hours=1)
"""A moment that passed while Clary was away is caught up with so long after."""
TARGET = "arn:aws:scheduler:::aws-sdk:"
"""How universal targets' ARNs begin. Source: EventBridge Scheduler user guide, "Using universal targets"."""
LOG_GROUP = "/aws/scheduler"

MACHINE = Machine(noun="Schedule", start="Waiting", edges={"Waiting": frozenset()})


@MACHINE.step("Waiting")
def wait(job: Job, world: World) -> Move:
    """Fire when the moment has come; tell when the next one is."""
    now = world.clock()
    seen = max(datetime.fromtimestamp(job.memory.get("seen", 0.0), now.tzinfo), now - LATE)
    seen = max(seen, job.record.modified)
    moment = next_of(job.record, seen)
    if moment is not None and moment <= now:
        if job["State"] == "ENABLED":
            fire(job.record, world, moment)
        seen = now
        moment = next_of(job.record, now)
    if moment is None:
        if job.get("ActionAfterCompletion") == "DELETE":
            record = job.record
            world.store.write(records.delete, record.account, record.region, record.noun, record.key)
        return Move("Waiting", memory={"seen": seen.timestamp()}, after_s=LONGEST_REST_S)
    rest_s = min(LONGEST_REST_S, max(0.05, (moment - now).total_seconds()))
    return Move("Waiting", memory={"seen": seen.timestamp()}, after_s=rest_s)


def next_of(record: Record, after: datetime) -> datetime | None:
    """Return when a schedule is due next, within its own bounds in time."""
    terms = record.document
    begin, end = terms.get("StartDate"), terms.get("EndDate")
    found = schedule.parse(
        terms["ScheduleExpression"],
        terms.get("ScheduleExpressionTimezone", "UTC"),
        since=begin or record.created,
    )
    if begin is not None and begin > after:
        after = begin - timedelta(seconds=1)
    moment = found.next_after(after)
    return None if moment is None or (end is not None and moment > end) else moment


def operation_of(arn: str) -> tuple[str, str]:
    """Return service and operation of a universal target: `sagemaker`, `CreateProcessingJob`."""
    service, _, operation = arn.removeprefix(TARGET).partition(":")
    return service, operation[:1].upper() + operation[1:]


def fire(record: Record, world: World, moment: datetime) -> None:
    """Call the target once for a moment; what comes of it goes to the log.

    The execution's id is made from the moment, so that a step that runs again names the same job.
    """
    target = record.document["Target"]
    service, operation = operation_of(target["Arn"])
    execution = hashlib.sha256(f"{record.arn}/{moment.isoformat()}".encode()).hexdigest()[:12]
    text = target.get("Input") or "{}"
    for name, value in {
        "execution-id": execution,
        "scheduled-time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "schedule-arn": record.arn,
        "attempt-number": "1",
    }.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    role = Arn.parse(target["RoleArn"]).resource.rpartition("/")[2]
    principal = f"arn:aws:sts::{record.account}:assumed-role/{role}/scheduler"
    try:
        perform = world.extras["perform"]
        perform((record.account, record.region), principal, service, operation, json.loads(text))
        said = f"{operation}: called for {moment.isoformat()}, execution {execution}"
    except AwsError as error:
        said = f"{operation}: {error.wire_code}: {error.message}"
    _say(record, world, said)


def _say(record: Record, world: World, text: str) -> None:
    now_ms = epoch_ms(world.clock())

    def unit(conn: Connection) -> Any:
        lines = [(now_ms, text)]
        return logs.append(conn, record.account, record.region, LOG_GROUP, record.key, lines, now_ms)

    world.store.write(unit)
