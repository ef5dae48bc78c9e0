"""A scalable target's one state: held against its schedule, its policies and its bounds, again and again.

Registered ─▶ Registered        the endpoint is resized where they say so; ends with its record
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.application_autoscaling import _demand as demand
from clary.services.application_autoscaling import _shared as shared
from clary.services.application_autoscaling import _timetable as timetable
from clary.services.application_autoscaling import scaling_activity as activities
from clary.services.sagemaker import inference_component
from clary.services.sagemaker.endpoint import resized
from clary.store import records, work
from clary.store.base import Stale
from clary.store.records import Record

LOOK_S = 1.0
"""Between two looks; AWS looks once a minute."""
IDLE_S = 5.0
"""Where there is nothing to follow."""

MACHINE = Machine(noun="ScalableTarget", start="Registered", edges={"Registered": frozenset()})


@dataclass
class Look:
    """One look at a target: what is wanted, by whom."""

    target: Record
    endpoint: Record
    variant: Mapping[str, Any]
    now_s: float
    memory: dict[str, Any]
    up: list[tuple[int, str]] = field(default_factory=list)
    """Capacities to grow to, with their causes."""
    down: list[tuple[int, str]] = field(default_factory=list)

    @property
    def current(self) -> int:
        """Instances that the variant is to have now."""
        return int(self.variant["InstanceCount"])

    def bounded(self, capacity: int) -> int:
        """Return a capacity within the target's bounds."""
        document = self.target.document
        return max(int(document["MinCapacity"]), min(int(document["MaxCapacity"]), capacity))


@MACHINE.step("Registered")
def look(job: Job, world: World) -> Move:
    """Resize the variant where its bounds, schedule or policies ask for it."""
    target = job.record
    name, variant_name = shared.variant_of(target.document)
    endpoint = world.store.read(shared.resource_of, target.account, target.region, name)
    if endpoint is None or endpoint.status not in {"InService", "Updating"}:
        return Move("Registered", after_s=IDLE_S)
    home = (endpoint.private.get("route") or {}).get("node", world.node)
    if home != world.node:  # what edges count of an endpoint, its own node knows
        return Move("Registered", node=home, after_s=LOOK_S)
    variant = next(
        (each for each in endpoint.private["plan"]["variants"] if variant_name in {"", each["VariantName"]}),
        None,
    )
    if variant is None:
        return Move("Registered", after_s=IDLE_S)
    variant_name = variant["VariantName"]
    now_s = world.clock().timestamp()
    here = Look(target, endpoint, variant, now_s, dict(job.memory))
    activities.follow(world, here.memory, endpoint, variant_name)
    if endpoint.status == "Updating":
        return Move("Registered", memory=here.memory, after_s=LOOK_S / 2)
    document, next_s = timetable.due(world, here)
    if document:
        here.target = replace(target, document={**target.document, **document})
    policies = world.store.read(shared.of_target, target, "ScalingPolicy")
    wanted, cause = _decide(world, here, policies)
    if wanted != here.current and _resize(world, here, variant_name, wanted):
        here.memory["activity"] = activities.begin(world, target, here.current, wanted, cause)
        here.memory["last_out" if wanted > here.current else "last_in"] = now_s
        here.memory["base"] = here.current
    after_s = LOOK_S if policies or here.memory.get("activity") else max(LOOK_S, min(IDLE_S, next_s))
    return Move("Registered", document, memory=here.memory, after_s=after_s)


def _decide(world: World, here: Look, policies: list[Record]) -> tuple[int, str]:
    """Return the capacity wanted, and why.

    The largest growth that a policy asks for wins; the fleet shrinks only to where every policy lets it.
    """
    bounds = here.bounded(here.current)
    if bounds != here.current:
        member = "minimum" if bounds > here.current else "maximum"
        return bounds, here.memory.get("scheduled") or f"{member} capacity was set to {bounds}"
    suspended = here.target.document.get("SuspendedState", {})
    lowest = 0
    for policy in policies:
        found = demand.of_policy(world, here, policy)
        if found is None:
            continue
        lowest = max(lowest, found.least)
        if found.wanted > here.current:
            here.up.append((here.bounded(found.wanted), found.cause))
        elif found.wanted < here.current and found.may_shrink:
            here.down.append((found.wanted, found.cause))
    if here.up and not suspended.get("DynamicScalingOutSuspended"):
        return max(here.up, key=lambda each: each[0])
    if here.down and not here.up and not suspended.get("DynamicScalingInSuspended"):
        capacity, cause = max(here.down, key=lambda each: each[0])
        capacity = here.bounded(max(capacity, lowest))
        return (capacity, cause) if capacity < here.current else (here.current, "")
    return here.current, ""


def _resize(world: World, here: Look, variant: str, capacity: int) -> bool:
    """Set the variant's number of instances; False where somebody else changes the endpoint."""
    if here.endpoint.noun == "InferenceComponent":
        changed = inference_component.resized(here.endpoint, capacity, world.clock())
    else:
        changed = resized(here.endpoint, {variant: {"DesiredInstanceCount": capacity}}, world.clock())

    def unit(conn: Connection) -> None:
        records.update(conn, changed, expected_version=here.endpoint.version)
        work.wake(conn, changed.arn, world.clock())

    try:
        world.store.write(unit)
    except Stale:
        return False
    world.nudge(changed.arn)
    return True
