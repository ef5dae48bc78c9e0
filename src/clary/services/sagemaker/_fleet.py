"""A fleet of replicas: launched by a plan, listed while healthy, revived when lost, retired when replaced."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from clary.compute.base import Outcome, Result, RunKind, RunPhase, RunSpec, RunState, Runtime, Size
from clary.compute.containers import DIRECT, address_of
from clary.compute.machine import size_of
from clary.engine import runs
from clary.engine.machine import Job
from clary.engine.world import World
from clary.kernel.errors import ResourceLimitExceeded
from clary.services.sagemaker import _endpoint_plan as plans

RETIRE_GRACE_S = 65.0
"""Longer than an invocation may take (60 s)."""
DEPLOY_MARGIN_S = 120
"""Time for queueing beside download and `ContainerStartupHealthCheckTimeoutInSeconds`."""
MAX_LOSSES = 5
"""A replica lost so often in a row, without being healthy in between, leaves its place empty."""

NO_CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
SEVERAL = ("Containers", "Runtimes", "ExecutionMode")
"""Members of a variant whose model has several containers, for the agent."""

SHOWN = ("Shadow", "Serverless", "Images", "Room", "ManagedInstanceScaling", "RoutingConfig")
"""Members that a variant in service has where its plan has them."""

Plan = Mapping[str, Any]
_GONE = frozenset({RunPhase.ENDED, RunPhase.LOST})


@dataclass(frozen=True)
class Place:
    """One replica's place in a plan."""

    run_id: str
    variant: Mapping[str, Any]

    @property
    def seat(self) -> str:
        """What stays when its replica is replaced."""
        return self.run_id.rpartition("-")[0]


def places(job: Job, target: Plan, *, part: float = 1.0) -> Iterator[Place]:
    """Yield the places of a plan; a place keeps its run while variant, model and seat stay.

    Parameters
    ----------
    part : float
        Share of every variant's instances, rounded up: the first ones.
    """
    revivals = job.memory.get("revivals", {})
    for variant in target["variants"]:
        if variant.get("Room"):
            continue
        for n in range(math.ceil(variant["InstanceCount"] * part - 1e-9)):
            seat = _seat(job, variant, n)
            yield Place(f"{seat}-{revivals.get(seat, 0)}", variant)


def _seat(job: Job, variant: Mapping[str, Any], n: int) -> str:
    marks = (job.record.created.isoformat(), variant["VariantName"], variant["Serial"], n)
    return runs.run_id_of(job.record.arn, job.record.key, *marks)


def run_ids(job: Job, target: Plan, *, part: float = 1.0) -> set[str]:
    """Return the runs of a plan's places."""
    return {place.run_id for place in places(job, target, part=part)}


def fresh(job: Job, target: Plan) -> Job:
    """Return the job with new runs for places whose replica is being retired: it drains for good."""
    retiring = set(job.memory.get("retire", ()))
    revivals = dict(job.memory.get("revivals", {}))
    for place in places(job, target):
        if place.run_id in retiring:
            revivals[place.seat] = revivals.get(place.seat, 0) + 1
    return replace(job, memory={**job.memory, "revivals": revivals})


def renew(job: Job, world: World, target: Plan) -> Job:
    """Return the job with new runs for replicas that were lost before they served; the lost ones are retired.

    What an agent that was taken for lost still says is then not taken for its successor's word.
    """
    revivals = dict(job.memory.get("revivals", {}))
    retire = set(job.memory.get("retire", ()))
    for place in places(job, target):
        state, n = runs.state_of(world, place.run_id), revivals.get(place.seat, 0) + 1
        if state.phase not in _GONE or _failed(state):
            continue
        # The next one is open where this step was cut off behind its launch.
        if runs.is_open(world, place.run_id) or runs.is_open(world, f"{place.seat}-{n}"):
            revivals[place.seat] = n
            retire.add(place.run_id)
    return replace(job, memory={**job.memory, "revivals": revivals, "retire": sorted(retire)})


def _failed(state: RunState) -> Result | None:
    return next((each for each in state.results.values() if each.outcome is Outcome.FAILED), None)


def launch(job: Job, world: World, target: Plan, *, part: float = 1.0, at_most: float = math.inf) -> str:
    """Launch what is not running, `at_most` so many at a time; return why a replica failed, or nothing."""
    n_starting = 0
    for place in places(job, target, part=part):
        state = runs.state_of(world, place.run_id)
        failed = _failed(state)
        if failed is not None:
            return f"The {place.variant['VariantName']} variant could not start: {failed.reason}"
        if state.phase is not RunPhase.SERVING:
            n_starting += 1
        if state.phase in _GONE and n_starting <= at_most:
            runs.close_run(world, place.run_id)  # whatever is left of one before a backup was restored
            spec = runs.open_run(
                world, _spec(job, place), role_arn=place.variant["RoleArn"], context=_context(job, place)
            )
            try:
                world.placement.launch(spec)
            except ResourceLimitExceeded as error:
                runs.close_run(world, place.run_id)
                return f"{NO_CAPACITY} {error}."
    return ""


def revive(job: Job, world: World, target: Plan) -> Job:
    """Return the job with fresh runs for the places whose replica was lost, and launch them."""
    revivals, losses = dict(job.memory.get("revivals", {})), dict(job.memory.get("losses", {}))
    for place in places(job, target):
        phase = runs.state_of(world, place.run_id).phase
        if phase is RunPhase.SERVING:
            losses.pop(place.seat, None)
        elif phase in _GONE and losses.get(place.seat, 0) < MAX_LOSSES:
            runs.close_run(world, place.run_id)
            revivals[place.seat] = revivals.get(place.seat, 0) + 1
            losses[place.seat] = losses.get(place.seat, 0) + 1
    revived = replace(job, memory={**job.memory, "revivals": revivals, "losses": losses})
    launch(revived, world, target)
    return revived


def listing(job: Job, world: World, target: Plan, *, part: float = 1.0) -> tuple[list[dict[str, Any]], bool]:
    """Return the variants with their healthy replicas, and whether none is missing."""
    listed: dict[str, dict[str, Any]] = {}
    capture = plans.captured(target, world.extras.get("capture_spool", ""))
    for variant in target["variants"]:
        members = ("VariantName", "Image", "Weight", "InstanceCount", "InstanceType")
        shown = {name: variant[name] for name in members}
        shown |= {name: variant[name] for name in SHOWN if name in variant}
        shown |= _routed(job, variant, capture, plans.asynchronous(target), world)
        listed[variant["VariantName"]] = {**shown, "Replicas": []}
    is_whole = True
    last = _last_addresses(job)
    for place in places(job, target, part=part):
        state = runs.state_of(world, place.run_id)
        address = next(iter(state.addresses.values()), None)
        if address and state.phase is RunPhase.SERVING:
            listed[place.variant["VariantName"]]["Replicas"].append({"address": address, "id": place.run_id})
        else:
            is_whole = False
            if place.seat in last:
                listed[place.variant["VariantName"]].setdefault("Resting", []).append(last[place.seat])
    for variant in target["variants"]:
        if "Serverless" in variant and not variant["InstanceCount"]:
            rested = last.get(_seat(job, variant, 0))
            listed[variant["VariantName"]] |= {"Resting": [rested]} if rested else {}
        if variant.get("ExecutionMode") == DIRECT:
            _name_containers(listed[variant["VariantName"]], variant)
    return list(listed.values()), is_whole


def _last_addresses(job: Job) -> dict[str, dict[str, str]]:
    """Return the replicas that were listed last, by seat: an edge may have the model of one that is gone."""
    served = job.record.private.get("served") or ()
    listed = [replica for each in served for replica in (*each["Replicas"], *each.get("Resting", ()))]
    return {replica["id"].rpartition("-")[0]: replica for replica in listed}


def _name_containers(shown: dict[str, Any], variant: Mapping[str, Any]) -> None:
    """Say where each container of a variant listens, whose clients choose among them."""
    containers = {
        each["ContainerHostname"]: [
            {**replica, "address": address_of(replica["address"], place)} for replica in shown["Replicas"]
        ]
        for place, each in enumerate(variant["Containers"])
    }
    shown["Route"] = {**shown.get("Route", {}), "containers": containers}


def _routed(
    job: Job,
    variant: Mapping[str, Any],
    capture: Mapping[str, Any],
    asynchronous: Mapping[str, Any],
    world: World,
) -> dict[str, Any]:
    """Return what a variant's route says beside its replicas, for the stages of the edges."""
    route: dict[str, Any] = {"capture": capture} if capture else {}
    if asynchronous:
        route["asynchronous"] = asynchronous
    if variant.get("Routing") == "RANDOM":
        route["routing"] = "RANDOM"
    if variant["Container"].get("Mode") == "MultiModel":
        route["multi_model"] = True
    if variant.get("ExecutionMode") == "Serial":
        route["pipeline"] = [each["ContainerHostname"] for each in variant["Containers"]]
    if variant.get("Room"):
        route["components"] = True
    elif (variant["InstanceCount"] == 0 or variant.get("Woken")) and "Size" not in variant:
        route["wakes"] = True
    if "Serverless" in variant:
        most = variant["Serverless"]["MaxConcurrency"]
        route["concurrency"] = {"most": most, "file": str(_count_file(job, world, variant))}
    return {"Route": route} if route else {}


def _count_file(job: Job, world: World, variant: Mapping[str, Any]) -> Path:
    """Return where edges count the invocations of a serverless variant that are in flight."""
    name = hashlib.sha256(f"{job.record.arn}/{variant['VariantName']}".encode()).hexdigest()[:24]
    return world.settings.data_dir / "concurrency" / name


def forget(job: Job, world: World, target: Plan) -> None:
    """Leave nothing of the variants' counts."""
    for variant in target["variants"]:
        if "Serverless" in variant:
            _count_file(job, world, variant).unlink(missing_ok=True)


def overdue(job: Job, world: World, target: Plan, since_s: float) -> str:
    """Return why replicas that were launched at `since_s` take too long, or nothing."""
    allowed = DEPLOY_MARGIN_S + max(
        (each["StartupTimeout"] + each.get("DownloadTimeout", 0) for each in target["variants"]), default=0
    )
    if world.clock().timestamp() < since_s + allowed:
        return ""
    waiting = [
        place for place in places(job, target) if runs.state_of(world, place.run_id).phase is RunPhase.QUEUED
    ]
    if waiting:
        return (
            f"{NO_CAPACITY} {len(waiting)} x {waiting[0].variant['InstanceType']} waited {allowed} s for "
            "memory that other endpoints have. Delete an endpoint, or choose a smaller instance type."
        )
    return f"The replicas did not pass the ping health check within {allowed} s. Look at the endpoint's log."


def retire(world: World, run_ids: Iterable[str]) -> list[str]:
    """Let replaced replicas finish what they have; return those that still do."""
    remaining = []
    for run_id in run_ids:
        if runs.state_of(world, run_id).phase in _GONE:
            runs.close_run(world, run_id)
        else:
            world.placement.stop(run_id, outcome=Outcome.STOPPED, grace_s=RETIRE_GRACE_S)
            remaining.append(run_id)
    return remaining


def soon(world: World, after_s: float) -> float:
    """Return the moment `after_s` from now, as seconds of the epoch."""
    return (world.clock() + timedelta(seconds=after_s)).timestamp()


def _context(job: Job, place: Place) -> Mapping[str, Any]:
    return {
        "log_group": f"/aws/sagemaker/{job.record.noun}s/{job.record.key}",
        "log_stream": f"{place.variant['VariantName']}/i-{place.run_id.replace('-', '')[-16:]}",
        **_metered(job, place),
    }


def _metered(job: Job, place: Place) -> dict[str, str]:
    """Return by which dimension what a replica uses is told to CloudWatch."""
    noun = job.record.noun
    if noun == "Endpoint":
        return {"variant": place.variant["VariantName"]}
    return {"metric_dimension": f"{noun}Name", "metric_group": f"{noun}s"}


def _size_of(variant: Mapping[str, Any]) -> Size:
    if "Size" in variant:
        return Size(**variant["Size"])
    if "Serverless" not in variant:
        return size_of(variant["InstanceType"])
    memory_mib = variant["Serverless"]["MemorySizeInMB"]
    return Size(cpus=max(1, memory_mib // 2048), memory_mib=memory_mib)  # cores follow memory


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
        size=_size_of(variant),
        instance_type=variant["InstanceType"],
        request={
            "Container": variant["Container"],
            "EnableNetworkIsolation": variant["EnableNetworkIsolation"],
            "StartupTimeoutInSeconds": variant["StartupTimeout"],
            "VariantName": variant["VariantName"],
            "AcceleratorType": variant.get("Accelerator", ""),
            **{name: variant[name] for name in SEVERAL if name in variant},
        },
        environment={} if "Containers" in variant else dict(variant["Container"].get("Environment", {})),
    )
