"""States of a TransformJob: the service's own `TransformJobStatus`, driven by what agents report."""

from typing import Any

from clary.compute import machine
from clary.compute.base import RunKind, RunSpec, Runtime
from clary.engine import runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel.clock import epoch_ms
from clary.services.sagemaker import _run_steps as steps

_ENDS = frozenset({"Completed", "Failed", "Stopped"})

MACHINE = Machine(
    noun="TransformJob",
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
    context = {"log_group": "/aws/sagemaker/TransformJobs", "log_stream": "{name}/{host}-{epoch}"}
    role_arn = job.record.private["role_arn"]
    steps.launch(job, world, _spec(job), role_arn=role_arn, context=context)
    return steps.follow(job, world, COURSE)


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """Wait until every host has ended."""
    return steps.stopping(job, world, COURSE)


@MACHINE.end
def release(job: Job, world: World) -> None:
    """Free the run's folder and credentials."""
    runs.close_run(world, steps.run_id_of(job))


def _closing(job: Job, world: World) -> dict[str, Any]:
    """Return the members that an ended job shows."""
    end = world.clock()
    return {"TransformStartTime": job.get("TransformStartTime") or end, "TransformEndTime": end}


def _spec(job: Job) -> RunSpec:
    resources, private = job["TransformResources"], job.record.private
    return RunSpec(
        run_id=steps.run_id_of(job),
        kind=RunKind.TRANSFORM,
        account=job.record.account,
        region=job.record.region,
        name=job.record.key,
        arn=job.record.arn,
        runtime=Runtime(**private["runtimes"][0]),
        size=machine.size_of(resources["InstanceType"]),
        hosts=tuple(f"algo-{n}" for n in range(1, resources["InstanceCount"] + 1)),
        instance_type=resources["InstanceType"],
        attempt=steps.attempt_of(job),
        request=_request(job),
    )


def _request(job: Job) -> dict[str, Any]:
    """Return what the agent needs: the request, the model as it was at Create, and what marks the job."""
    members = (
        "TransformJobName",
        "MaxConcurrentTransforms",
        "ModelClientConfig",
        "MaxPayloadInMB",
        "BatchStrategy",
        "TransformInput",
        "TransformOutput",
        "DataCaptureConfig",
        "DataProcessing",
    )
    created = job.record.created
    return {
        **{member: job[member] for member in members if job.get(member) is not None},
        "JobMark": runs.run_id_of(job.record.arn, job.record.key, created.isoformat()),
        "CreatedMs": epoch_ms(created),
        "Containers": job.record.private["containers"],
        "Runtimes": job.record.private["runtimes"],
        "EnableNetworkIsolation": job.record.private["is_isolated"],
    }


COURSE = steps.Course(closing=_closing, started="TransformStartTime")
