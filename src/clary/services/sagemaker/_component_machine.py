"""States of an InferenceComponent: room claimed on its endpoint's instances, then as an endpoint's fleet.

Creating ─▶ InService ◀─▶ Updating ─▶ RollingBack          (shown as Updating)
    └─▶ Failed ─▶ Updating      every state can be deleted from

A component is a fleet of its own behind a name of its own, so its steps are those of `_endpoint_machine`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.compute.machine import size_of
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.sagemaker import _endpoint_machine as fleets
from clary.services.sagemaker._packing import Need, pack
from clary.services.sagemaker._rooms import NOUN, limit_of, of_endpoint, room_of
from clary.store import records
from clary.store.base import Stale

MACHINE = Machine(
    noun=NOUN,
    is_placed=True,
    start="Creating",
    edges={
        **fleets.MACHINE.edges,
        "Creating": frozenset({"InService", "Failed", "Deleting"}),
        "Updating": frozenset({"InService", "Failed", "RollingBack", "Deleting"}),
    },
    status_of={"RollingBack": "Updating", "UpdateRollbackFailed": "Failed"},
)


@MACHINE.step("Creating")
def create(job: Job, world: World) -> Move:
    """Claim room, then launch every copy."""
    if job.intent.get("delete"):
        return Move("Deleting")
    failure = claim(job, world, job.record.private["plan"])
    if failure:
        return Move("Failed", {"FailureReason": failure}, after_s=fleets.WATCH_S)
    move = fleets.create(job, world)
    return replace(move, private={**move.private, "placed": []}) if move.state == "Failed" else move


@MACHINE.step("Updating")
def update(job: Job, world: World) -> Move:
    """Claim room for what is to come, then go one stage on."""
    if job.intent.get("delete"):
        return Move("Deleting")
    target = job.intent.get("update")
    failure = claim(job, world, target) if target is not None else ""
    if failure and job.record.private.get("served") is None:
        return Move("Failed", {"FailureReason": failure}, private={"intent": {}}, after_s=fleets.WATCH_S)
    if failure:
        return Move("InService", {"FailureReason": failure}, private={"intent": {}}, after_s=fleets.WATCH_S)
    return fleets.update(job, world)


MACHINE.step("RollingBack")(fleets.roll_back)
MACHINE.step("InService", "Failed", "UpdateRollbackFailed")(fleets.watch)
MACHINE.step("Deleting")(fleets.delete)


def claim(job: Job, world: World, target: Mapping[str, Any]) -> str:
    """Give each copy of a plan an instance of the endpoint; return why there is none, or nothing."""
    record = job.record
    failures: list[str] = []

    def unit(conn: Connection) -> str:
        endpoint = records.find(
            conn, record.account, record.region, "Endpoint", record.document["EndpointName"]
        )
        room = room_of(endpoint, record.document["VariantName"]) if endpoint is not None else None
        if endpoint is None or room is None:
            failures.append(
                f"Endpoint {record.document['EndpointName']} has no room for inference components."
            )
            return ""
        (variant,) = target["variants"]
        need, n = Need(**variant["Need"]), variant["InstanceCount"]
        known = record.private.get("placed", ())
        placed = pack(
            size_of(room["InstanceType"]),
            limit_of(room),
            [
                (place, Need(**other.private["plan"]["variants"][0]["Need"]))
                for other in of_endpoint(conn, endpoint)
                if other.key != record.key and other.document["VariantName"] == record.document["VariantName"]
                for place in other.private.get("placed", ())
            ],
            need,
            n,
            known,
            n_open=room["InstanceCount"],
            spreads=variant.get("Spreads", False),
        )
        if len(placed) < n:
            failures.append(_no_room(n, len(placed), room))
        elif placed != list(known):
            private = {**record.private, "placed": placed}
            records.update(conn, replace(record, private=private), expected_version=record.version)
        else:
            return ""
        return endpoint.arn

    try:
        arn = world.store.write(unit)
    except Stale:
        return ""  # another writer: the step is taken again
    if arn:
        world.wake(arn)
    return failures[0] if failures else ""


def _no_room(n: int, n_fit: int, room: Mapping[str, Any]) -> str:
    limit = limit_of(room)
    return (
        "There is not enough hardware resources on the instances to satisfy the requirements of the "
        f"inference component: {n_fit} of {n} copies fit on {limit} x {room['InstanceType']} beside others."
    )
