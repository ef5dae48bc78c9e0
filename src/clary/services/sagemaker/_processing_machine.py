"""States of a ProcessingJob: the service's own `ProcessingJobStatus`, driven by what agents report."""

from typing import Any

from clary.compute import machine
from clary.compute.base import RunKind, RunSpec, Runtime
from clary.engine import runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.sagemaker import _run_steps as steps

_ENDS = frozenset({"Completed", "Failed", "Stopped"})

MACHINE = Machine(
    noun="ProcessingJob",
    is_placed=True,
    start="InProgress",
    edges={"InProgress": frozenset({"Stopping"}) | _ENDS, "Stopping": _ENDS},
)


@MACHINE.step("InProgress")
def work(job: Job, world: World) -> Move:
    """Launch the run if need be, follow its slowest host, act on a stop."""
    if job.intent.get("stop"):
        steps.ask_to_stop(job, world)
        return Move("Stopping")
    context = {"log_group": "/aws/sagemaker/ProcessingJobs", "log_stream": "{name}/{host}-{epoch}"}
    steps.launch(job, world, _spec(job), role_arn=job["RoleArn"], context=context)
    return steps.follow(job, world, COURSE)


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """Wait until every host has ended."""
    return steps.stopping(job, world, COURSE)


@MACHINE.end
def release(job: Job, world: World) -> None:
    """Free the run's folder and credentials."""
    runs.close_run(world, steps.run_id_of(job))


def cluster(job: Job) -> tuple[str, int]:
    """Return the instance type and count that the job runs on."""
    config = job["ProcessingResources"]["ClusterConfig"]
    if "SelectedInstanceType" in config:
        return config["SelectedInstanceType"], config["SelectedInstanceCount"]
    return config["InstanceType"], config["InstanceCount"]


def _closing(job: Job, world: World) -> dict[str, Any]:
    """Return the members that an ended job shows."""
    end = world.clock()
    members: dict[str, Any] = {
        "ProcessingStartTime": job.get("ProcessingStartTime") or end,
        "ProcessingEndTime": end,
    }
    results = runs.state_of(world, steps.run_id_of(job)).results
    message = next((each.message for _, each in sorted(results.items()) if each.message), "")
    return {**members, "ExitMessage": message} if message else members


def _spec(job: Job) -> RunSpec:
    instance_type, count = cluster(job)
    return RunSpec(
        run_id=steps.run_id_of(job),
        kind=RunKind.PROCESSING,
        account=job.record.account,
        region=job.record.region,
        name=job.record.key,
        arn=job.record.arn,
        runtime=Runtime(**job.record.private["runtime"]),
        size=machine.size_of(instance_type),
        hosts=tuple(f"algo-{n}" for n in range(1, count + 1)),
        instance_type=instance_type,
        attempt=steps.attempt_of(job),
        request=_request(job),
        environment={"PROCESSING_JOB_NAME": job.record.key, "PROCESSING_JOB_ARN": job.record.arn},
    )


def _request(job: Job) -> dict[str, Any]:
    members = (
        "ProcessingJobName",
        "AppSpecification",
        "Environment",
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "NetworkConfig",
        "RoleArn",
        "StoppingCondition",
        "ExperimentConfig",
    )
    return {member: job[member] for member in members if job.get(member) is not None}


COURSE = steps.Course(closing=_closing, started="ProcessingStartTime")
