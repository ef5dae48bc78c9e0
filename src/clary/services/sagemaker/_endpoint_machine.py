"""States of an Endpoint: replicas launched, routed, watched, replaced and retired.

Creating ─▶ InService ◀─▶ Updating          every state but Deleting can be deleted from
    └─▶ Failed ─▶ Updating                  Deleting ends with the record itself
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from clary.compute.base import Outcome, RunKind, RunPhase, RunSpec, Runtime
from clary.compute.machine import size_of
from clary.engine import runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.sagemaker.model import runtime_of
from clary.store import records

WATCH_S = 15.0
"""Reports wake the machine; this is the net under a lost one."""
POLL_S = 1.0
RETIRE_AFTER_S = 1.0
"""Edges learn of new routes in milliseconds; requests in flight end within the grace."""
RETIRE_GRACE_S = 65.0
"""Longer than an invocation may take (60 s)."""
DEPLOY_MARGIN_S = 120
"""Time for download and queueing beside `ContainerStartupHealthCheckTimeoutInSeconds`."""
MAX_LOSSES = 5
"""A replica lost so often in a row, without being healthy in between, leaves its place empty."""

MACHINE = Machine(
    noun="Endpoint",
    start="Creating",
    edges={
        "Creating": frozenset({"InService", "Failed", "Deleting"}),
        "InService": frozenset({"Updating", "Deleting", "Failed"}),
        "Updating": frozenset({"InService", "Failed", "Deleting"}),
        "Failed": frozenset({"Updating", "Deleting"}),
        "Deleting": frozenset(),
    },
)


@dataclass(frozen=True)
class Place:
    """One replica's place in a plan."""

    run_id: str
    variant: Mapping[str, Any]


def plan(
    config: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]], *, serial: int
) -> dict[str, Any]:
    """Freeze a configuration and its models: later changes of either touch no running endpoint."""
    variants = []
    for variant in config["ProductionVariants"]:
        model = models[variant["ModelName"]]
        container = model.get("PrimaryContainer") or model["Containers"][0]
        variants.append(
            {
                "VariantName": variant["VariantName"],
                "ModelName": variant["ModelName"],
                "Image": container["Image"],
                "Container": dict(container),
                "RoleArn": model.get("ExecutionRoleArn", ""),
                "EnableNetworkIsolation": model.get("EnableNetworkIsolation", False),
                "Weight": variant["InitialVariantWeight"],
                "InstanceType": variant["InstanceType"],
                "InstanceCount": variant["InitialInstanceCount"],
                "StartupTimeout": variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 600),
                "Runtime": asdict(runtime_of(container)),
                "Serial": serial,
            }
        )
    return {"variants": variants}


@MACHINE.step("Creating")
def create(job: Job, world: World) -> Move:
    """Launch every replica; in service once all are healthy."""
    if job.intent.get("delete"):
        return Move("Deleting")
    target = job.record.private["plan"]
    failure = _launch(job, world, target) or _overdue(job, world, target)
    if failure:
        for place in _places(job, target):
            runs.close_run(world, place.run_id)
        return Move("Failed", {"FailureReason": failure}, after_s=WATCH_S)
    served = _served(job, world, target)
    if served is None:
        return Move("Creating", after_s=POLL_S)
    publish(job, world, served)
    return Move("InService", private={"served": served}, after_s=WATCH_S)


@MACHINE.step("Updating")
def update(job: Job, world: World) -> Move:
    """Bring the new replicas up beside the old; switch when all are healthy."""
    target = job.intent.get("update")
    if target is None:
        return Move("InService", after_s=WATCH_S)
    old = {place.run_id for place in _places(job, job.record.private["plan"])}
    new = {place.run_id for place in _places(job, target)}
    failure = _launch(job, world, target) or _overdue(job, world, target)
    if failure:
        for run_id in new - old:
            runs.close_run(world, run_id)
        if not job.record.private.get("served"):
            return Move("Failed", {"FailureReason": failure}, private={"intent": {}}, after_s=WATCH_S)
        return Move("InService", {"FailureReason": failure}, private={"intent": {}}, after_s=WATCH_S)
    served = _served(job, world, target)
    if served is None:
        return Move("Updating", after_s=POLL_S)
    publish(job, world, served)
    document = {"EndpointConfigName": job.intent["config"]} if "config" in job.intent else {}
    return Move(
        "InService",
        document,
        memory={"retire": sorted(old - new)},
        private={"plan": target, "served": served, "intent": {}},
        after_s=RETIRE_AFTER_S,
    )


@MACHINE.step("InService", "Failed")
def watch(job: Job, world: World) -> Move:
    """Retire replaced replicas, revive lost ones, and take up what the customer asked for."""
    if job.intent.get("delete"):
        return Move("Deleting")
    if job.intent.get("update"):
        return Move("Updating")
    if job.state == "Failed":
        return Move("Failed", after_s=3600.0)
    retiring = _retire(world, job.memory.get("retire", ()))
    target = job.record.private["plan"]
    revivals, losses = dict(job.memory.get("revivals", {})), dict(job.memory.get("losses", {}))
    for place in _places(job, target):
        phase, seat = runs.state_of(world, place.run_id).phase, _seat(place)
        if phase is RunPhase.SERVING:
            losses.pop(seat, None)
        elif phase in {RunPhase.ENDED, RunPhase.LOST} and losses.get(seat, 0) < MAX_LOSSES:
            runs.close_run(world, place.run_id)
            revivals[seat] = revivals.get(seat, 0) + 1
            losses[seat] = losses.get(seat, 0) + 1
    revived = Job(record=job.record, state=job.state, memory={**job.memory, "revivals": revivals})
    _launch(revived, world, target)
    served = _served(revived, world, target, partial=True) or []
    if served != job.record.private.get("served"):
        publish(job, world, served)
    is_calm = not retiring and all(len(each["Replicas"]) == each["InstanceCount"] for each in served)
    return Move(
        "InService",
        memory={"retire": retiring, "revivals": revivals, "losses": losses},
        private={"served": served} if served != job.record.private.get("served") else {},
        after_s=WATCH_S if is_calm else POLL_S,
    )


@MACHINE.step("Deleting")
def delete(job: Job, world: World) -> Move:
    """Withdraw the route, end the replicas, and with them the record."""
    publish(job, world, [])
    private = job.record.private
    plans = [private["plan"], private.get("intent", {}).get("update") or {"variants": []}]
    for each in plans:
        for place in _places(job, each):
            runs.close_run(world, place.run_id)
    for run_id in job.memory.get("retire", ()):
        runs.close_run(world, run_id)
    record = job.record
    world.store.write(records.delete, record.account, record.region, record.noun, record.key)
    return Move("Deleting")


def publish(job: Job, world: World, served: list[dict[str, Any]]) -> None:
    """Tell the edges which replicas answer for the endpoint."""
    record = job.record
    world.publish(
        "route", f"{record.account}/{record.region}/{record.key}", route(served) if served else None
    )


def route(served: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the route that edges keep: variants with weights and replicas' addresses."""
    return {
        "status": "InService",
        "variants": [
            {"name": variant["VariantName"], "weight": variant["Weight"], "replicas": variant["Replicas"]}
            for variant in served
        ],
    }


def _seat(place: Place) -> str:
    return place.run_id.rpartition("-")[0]


def _places(job: Job, target: Mapping[str, Any]) -> Iterator[Place]:
    """Yield the places of a plan; a place keeps its run while variant, model and seat stay."""
    revivals = job.memory.get("revivals", {})
    for variant in target["variants"]:
        for n in range(variant["InstanceCount"]):
            marks = (job.record.created.isoformat(), variant["VariantName"], variant["Serial"], n)
            seat = runs.run_id_of(job.record.arn, job.record.key, *marks)
            yield Place(f"{seat}-{revivals.get(seat, 0)}", variant)


def _launch(job: Job, world: World, target: Mapping[str, Any]) -> str:
    """Launch what is not running; return why a replica failed, or nothing."""
    for place in _places(job, target):
        state = runs.state_of(world, place.run_id)
        failed = next((each for each in state.results.values() if each.outcome is Outcome.FAILED), None)
        if failed is not None:
            return f"The {place.variant['VariantName']} variant could not start: {failed.reason}"
        if state.phase is RunPhase.LOST:
            runs.close_run(world, place.run_id)  # a run that was launched and lost starts afresh
            spec = runs.open_run(
                world, _spec(job, place), role_arn=place.variant["RoleArn"], context=_context(job, place)
            )
            world.placement.launch(spec)
    return ""


def _served(
    job: Job, world: World, target: Mapping[str, Any], *, partial: bool = False
) -> list[dict[str, Any]] | None:
    """Return the variants with their healthy replicas; None while some are missing, unless `partial`."""
    served: dict[str, dict[str, Any]] = {}
    for variant in target["variants"]:
        shown = {name: variant[name] for name in ("VariantName", "Image", "Weight", "InstanceCount")}
        served[variant["VariantName"]] = {**shown, "Replicas": []}
    is_whole = True
    for place in _places(job, target):
        state = runs.state_of(world, place.run_id)
        address = next(iter(state.addresses.values()), None)
        if address and state.phase is RunPhase.SERVING:
            served[place.variant["VariantName"]]["Replicas"].append({"address": address, "id": place.run_id})
        else:
            is_whole = False
    return list(served.values()) if is_whole or partial else None


def _overdue(job: Job, world: World, target: Mapping[str, Any]) -> str:
    """Return why a deployment that takes too long fails, or nothing."""
    allowed = max((variant["StartupTimeout"] for variant in target["variants"]), default=0) + DEPLOY_MARGIN_S
    if world.clock() < job.record.modified + timedelta(seconds=allowed):
        return ""
    return f"The replicas did not pass the ping health check within {allowed} s. Look at the endpoint's log."


def _retire(world: World, run_ids: Iterable[str]) -> list[str]:
    """Let replaced replicas finish what they have; return those that still do."""
    remaining = []
    for run_id in run_ids:
        if runs.state_of(world, run_id).phase in {RunPhase.ENDED, RunPhase.LOST}:
            runs.close_run(world, run_id)
        else:
            world.placement.stop(run_id, outcome=Outcome.STOPPED, grace_s=RETIRE_GRACE_S)
            remaining.append(run_id)
    return remaining


def _context(job: Job, place: Place) -> Mapping[str, Any]:
    return {
        "log_group": f"/aws/sagemaker/Endpoints/{job.record.key}",
        "log_stream": f"{place.variant['VariantName']}/i-{place.run_id.replace('-', '')[-16:]}",
    }


def _spec(job: Job, place: Place) -> RunSpec:
    variant = place.variant
    return RunSpec(
        run_id=place.run_id,
        kind=RunKind.SERVING,
        account=job.record.account,
        region=job.record.region,
        name=job.record.key,
        arn=job.record.arn,
        runtime=Runtime(**variant["Runtime"]),
        size=size_of(variant["InstanceType"]),
        instance_type=variant["InstanceType"],
        request={
            "Container": variant["Container"],
            "EnableNetworkIsolation": variant["EnableNetworkIsolation"],
            "StartupTimeoutInSeconds": variant["StartupTimeout"],
        },
        environment=dict(variant["Container"].get("Environment", {})),
    )
