"""States of a TrainingJob: the service's own `SecondaryStatus`, driven by what agents report."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clary.compute import machine
from clary.compute.base import Outcome, RunKind, RunSpec, Runtime
from clary.engine import jobmetrics, runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.sagemaker import _run_steps as steps

SPOT_GRACE_S = 120.0
"""Source: developer guide, "Managed Spot Training": SIGTERM, then up to 120 s."""

_RUNNING = ("Starting", "Pending", "Downloading", "Training", "Uploading")
_ENDS = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})

MACHINE = Machine(
    noun="TrainingJob",
    is_placed=True,
    start="Starting",
    detail="SecondaryStatus",
    parent="TuningJobArn",
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
    steps.launch(job, world, _spec(job), role_arn=job["RoleArn"], context=_context(job))
    return steps.follow(job, world, COURSE)


@MACHINE.step("Pending", "Downloading", "Training", "Uploading")
def watch(job: Job, world: World) -> Move:
    """Follow the slowest host; act on what the customer asked for."""
    if job.intent.get("stop"):
        steps.ask_to_stop(job, world)
        return Move("Stopping")
    if job.intent.get("interrupt"):
        world.placement.stop(steps.run_id_of(job), outcome=Outcome.INTERRUPTED, grace_s=SPOT_GRACE_S)
        # done with it: the next attempt is not to be interrupted by the same wish
        private = {"intent": {**job.intent, "interrupt": False}}
        return Move(job.state, private=private, after_s=steps.SAFETY_POLL_S)
    return steps.follow(job, world, COURSE)


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """Wait until every host has ended, its model published."""
    return steps.stopping(job, world, COURSE)


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
    return Move("Starting", memory=steps.next_attempt(job, world))


@MACHINE.end
def release(job: Job, world: World) -> None:
    """Free the run's folder and credentials; the parent, which is due, need not wait for it."""
    world.nudge(job.record.arn)
    runs.close_run(world, steps.run_id_of(job))


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
        "listener": job.record.private.get("listener"),
    }


def _spec(job: Job) -> RunSpec:
    resources = job["ResourceConfig"]
    groups = resources.get("InstanceGroups")
    count = sum(group["InstanceCount"] for group in groups) if groups else resources["InstanceCount"]
    instance_type = groups[0]["InstanceType"] if groups else resources["InstanceType"]
    return RunSpec(
        run_id=steps.run_id_of(job),
        kind=RunKind.TRAINING,
        account=job.record.account,
        region=job.record.region,
        name=job.record.key,
        arn=job.record.arn,
        runtime=_runtime(job),
        size=machine.size_of(instance_type),
        hosts=tuple(f"algo-{n}" for n in range(1, count + 1)),
        instance_type=instance_type,
        attempt=steps.attempt_of(job),
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


COURSE = steps.Course(
    closing=_closing,
    started="TrainingStartTime",
    shown=("Downloading", "Training", "Uploading"),
    start="Starting",
    waiting="Pending",
    restarting="Restarting",
    out_of_time="MaxRuntimeExceeded",
)
