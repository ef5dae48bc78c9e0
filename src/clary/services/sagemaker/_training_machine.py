"""States of a TrainingJob: the service's own `SecondaryStatus`, driven by what agents report."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clary.compute import machine
from clary.compute.base import Outcome, Result, RunKind, RunPhase, RunSpec, RunState, Runtime
from clary.engine import jobmetrics, runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World

PLATFORM_TRIES = 4
"""Times that a job is started when the platform, not the job, fails."""
SAFETY_POLL_S = 3.0
"""Steps are woken by reports; this is the net under a lost one."""
QUEUED_S = 1.0
"""A run that starts within this is not shown as waiting."""
SPOT_GRACE_S = 120.0
"""Source: developer guide, "Managed Spot Training": SIGTERM, then up to 120 s."""
STOP_GRACE_S = 120.0
"""Source: API reference, StopTrainingJob."""

_RUNNING = ("Starting", "Pending", "Downloading", "Training", "Uploading")
_ENDS = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})
_ORDER = ("Downloading", "Training", "Uploading")

MACHINE = Machine(
    noun="TrainingJob",
    start="Starting",
    detail="SecondaryStatus",
    edges={
        "Starting": frozenset(
            {"Pending", "Downloading", "Training", "Uploading", "Stopping", "Interrupted", "Restarting"}
        )
        | _ENDS,
        "Pending": frozenset(
            {"Starting", "Downloading", "Training", "Uploading", "Stopping", "Interrupted", "Restarting"}
        )
        | _ENDS,
        "Downloading": frozenset({"Training", "Uploading", "Stopping", "Interrupted", "Restarting"}) | _ENDS,
        "Training": frozenset({"Uploading", "Stopping", "Interrupted", "Restarting"}) | _ENDS,
        "Uploading": frozenset({"Stopping", "Interrupted", "Restarting"}) | _ENDS,
        "Interrupted": frozenset({"Restarting", "Stopping"}) | _ENDS,
        "Restarting": frozenset({"Starting", "Stopping"}) | _ENDS,
        "Stopping": _ENDS,
    },
    status_of={
        **dict.fromkeys((*_RUNNING, "Interrupted", "Restarting"), "InProgress"),
        "Stopping": "Stopping",
        "MaxRuntimeExceeded": "Stopped",
        "MaxWaitTimeExceeded": "Stopped",
    },
    messages={
        "Starting": "Starting the training job",
        "Pending": "Training job waiting for room on this machine",
        "Downloading": "Downloading input data",
        "Training": "Training image download completed. Training in progress.",
        "Uploading": "Uploading generated training model",
        "Interrupted": "Training job was interrupted; it resumes from its checkpoint",
        "Restarting": "Training job is being restarted",
        "Stopping": "Stopping the training job",
        "Stopped": "Training job stopped",
        "MaxRuntimeExceeded": "Resources were released because the training job exceeded its maximum runtime",
        "MaxWaitTimeExceeded": "Training job exceeded its maximum wait time",
        "Completed": "Training job completed",
        "Failed": "Training job failed",
    },
)


@MACHINE.step("Starting")
def start(job: Job, world: World) -> Move:
    """Launch the run; launching again starts nothing new."""
    if job.intent.get("stop"):
        return Move("Stopping")
    if not job.memory.get("launched"):
        spec = runs.open_run(world, _spec(job), role_arn=job["RoleArn"], context=_context(job))
        world.placement.launch(spec)
    return _follow(job, world, runs.state_of(world, _run_id(job)))


@MACHINE.step("Pending", "Downloading", "Training", "Uploading")
def watch(job: Job, world: World) -> Move:
    """Follow the slowest host; act on what the customer asked for."""
    run_id = _run_id(job)
    if job.intent.get("stop"):
        world.placement.stop(run_id, outcome=Outcome.STOPPED, grace_s=STOP_GRACE_S)
        return Move("Stopping")
    if job.intent.get("interrupt") and job.memory.get("interrupted_attempt") != _attempt(job):
        world.placement.stop(run_id, outcome=Outcome.INTERRUPTED, grace_s=SPOT_GRACE_S)
        return Move(job.state, memory={"interrupted_attempt": _attempt(job)}, after_s=SAFETY_POLL_S)
    return _follow(job, world, runs.state_of(world, run_id))


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """Wait until every host has ended, its model published."""
    run_id = _run_id(job)
    world.placement.stop(run_id, outcome=Outcome.STOPPED, grace_s=STOP_GRACE_S)
    state = runs.state_of(world, run_id)
    if state.phase not in {RunPhase.ENDED, RunPhase.LOST}:
        return Move("Stopping", after_s=SAFETY_POLL_S)
    return Move("Stopped", _closing(job, world))


@MACHINE.step("Interrupted")
def restart(job: Job, world: World) -> Move:
    """Start again from the checkpoint, unless the job may not wait any longer."""
    wait = job["StoppingCondition"].get("MaxWaitTimeInSeconds")
    if wait and world.clock() > job.record.created + timedelta(seconds=wait):
        return Move("MaxWaitTimeExceeded", _closing(job, world))
    return Move("Restarting")


@MACHINE.step("Restarting")
def again(job: Job, world: World) -> Move:
    """Forget the old run and begin the next attempt."""
    if job.intent.get("stop"):
        return Move("Stopping")
    runs.close_run(world, _run_id(job))
    return Move("Starting", memory={"attempt": _attempt(job) + 1, "launched": False})


@MACHINE.end
def release(job: Job, world: World) -> None:
    """Free the run's folder and credentials."""
    runs.close_run(world, _run_id(job))


def _attempt(job: Job) -> int:
    return int(job.memory.get("attempt", 1))


def _run_id(job: Job) -> str:
    return runs.run_id_of(job.record.arn, job.record.key, job.record.created.isoformat(), _attempt(job))


def _follow(job: Job, world: World, state: RunState) -> Move:
    """Turn a run's state into a move."""
    results = list(state.results.values())
    failed = next((each for each in results if each.outcome is Outcome.FAILED), None)
    if state.phase is RunPhase.LOST:
        return _retry(job, world, failed, "the host was lost")
    if state.phase is not RunPhase.ENDED:
        if failed is not None:
            world.placement.stop(_run_id(job), outcome=Outcome.STOPPED, grace_s=0)
        return _progress(job, world, state)
    if failed is not None:
        if failed.is_retryable:
            return _retry(job, world, failed, failed.reason)
        return Move(
            "Failed",
            {**_closing(job, world), "FailureReason": failed.reason},
            through=_passed(job, failed.phase),
        )
    return _close(job, world, {each.outcome for each in results})


def _close(job: Job, world: World, outcomes: set[Outcome]) -> Move:
    """Turn the outcomes of hosts that all ended without a fault into the job's end."""
    if Outcome.INTERRUPTED in outcomes:
        return Move("Interrupted")
    if Outcome.STOPPED in outcomes:
        return Move("Stopped", _closing(job, world))
    end = "MaxRuntimeExceeded" if Outcome.OUT_OF_TIME in outcomes else "Completed"
    return Move(end, _closing(job, world), through=_passed(job, RunPhase.UPLOADING))


def _progress(job: Job, world: World, state: RunState) -> Move:
    """Show how far a live run is; a job never goes back."""
    memory = {"launched": True}
    if state.phase is RunPhase.QUEUED:
        is_waiting = world.clock() > job.record.modified + timedelta(seconds=QUEUED_S)
        if job.state == "Starting" and is_waiting:
            return Move("Pending", memory=memory, after_s=SAFETY_POLL_S)
        return Move(job.state, memory=memory, after_s=QUEUED_S if job.state == "Starting" else SAFETY_POLL_S)
    document: dict[str, Any] = {}
    if "TrainingStartTime" not in job.record.document:
        document["TrainingStartTime"] = world.clock()
    if state.phase is RunPhase.STARTING or _rank(state.phase.value) <= _rank(job.state):
        return Move(job.state, document, memory, after_s=SAFETY_POLL_S)
    return Move(
        state.phase.value, document, memory, after_s=SAFETY_POLL_S, through=_passed(job, state.phase)[:-1]
    )


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else -1


def _passed(job: Job, until: RunPhase) -> tuple[str, ...]:
    """Return the states between the job's and `until`, the latter included."""
    last = _rank(until.value)
    return tuple(state for state in _ORDER if _rank(job.state) < _rank(state) <= last)


def _retry(job: Job, world: World, failed: Result | None, why: str) -> Move:
    if _attempt(job) < PLATFORM_TRIES:
        return Move("Restarting", message=f"Restarting: {why}")
    reason = (
        failed.reason if failed and failed.reason else f"InternalServerError: {why} {PLATFORM_TRIES} times"
    )
    return Move("Failed", {**_closing(job, world), "FailureReason": reason})


def _closing(job: Job, world: World) -> dict[str, Any]:
    """Return the members that an ended job shows."""
    end = world.clock()
    begin = job.get("TrainingStartTime") or end
    seconds = max(1, round((end - begin).total_seconds()))
    members: dict[str, Any] = {
        "TrainingStartTime": begin,
        "TrainingEndTime": end,
        "TrainingTimeInSeconds": seconds,
        "BillableTimeInSeconds": seconds,
    }
    record = job.record
    metrics = world.store.read(
        jobmetrics.final, record.account, record.region, {"TrainingJobName": record.key}
    )
    if metrics:
        members["FinalMetricDataList"] = metrics
    return members


def _context(job: Job) -> Mapping[str, Any]:
    return {
        "log_group": "/aws/sagemaker/TrainingJobs",
        "log_stream": "{name}/{host}-{epoch}",
        "metric_dimension": "TrainingJobName",
    }


def _spec(job: Job) -> RunSpec:
    resources = job["ResourceConfig"]
    groups = resources.get("InstanceGroups")
    count = sum(group["InstanceCount"] for group in groups) if groups else resources["InstanceCount"]
    instance_type = groups[0]["InstanceType"] if groups else resources["InstanceType"]
    return RunSpec(
        run_id=_run_id(job),
        kind=RunKind.TRAINING,
        account=job.record.account,
        region=job.record.region,
        name=job.record.key,
        arn=job.record.arn,
        runtime=_runtime(job),
        size=machine.size_of(instance_type),
        hosts=tuple(f"algo-{n}" for n in range(1, count + 1)),
        instance_type=instance_type,
        attempt=_attempt(job),
        request=_request(job),
        environment={"TRAINING_JOB_NAME": job.record.key, "TRAINING_JOB_ARN": job.record.arn},
    )


def _runtime(job: Job) -> Runtime:
    return Runtime(**job.record.private["runtime"])


def _request(job: Job) -> dict[str, Any]:
    members = (
        "TrainingJobName",
        "HyperParameters",
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
        "EnableNetworkIsolation",
        "EnableManagedSpotTraining",
        "CheckpointConfig",
        "Environment",
    )
    return {member: job[member] for member in members if job.get(member) is not None}
