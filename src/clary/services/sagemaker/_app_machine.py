"""States of an App: a JupyterLab of a space or a user, run as a notebook instance's is.

Pending ──▶ InService ──▶ Deleting ──▶ Deleted (shown for a day)
   └──▶ Failed ◀──┘ └──▶ Deleting
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from clary.compute import machine
from clary.compute.base import RunKind, RunSpec, Runtime
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.sagemaker import _notebook_machine as notebooks
from clary.store import records, tags

LOG_GROUP = "/aws/sagemaker/studio"
SHOWN = timedelta(hours=24)
"""How long a deleted app is still described. Source: API reference, ListApps."""

MACHINE = Machine(
    noun="App",
    is_placed=True,
    is_kept=True,
    start="Pending",
    edges={
        "Pending": frozenset({"InService", "Failed", "Deleting"}),
        "InService": frozenset({"Deleting", "Deleted", "Pending", "Failed"}),
        "Failed": frozenset({"Deleting"}),
        "Deleting": frozenset({"Deleted"}),
        "Deleted": frozenset(),
    },
)


@MACHINE.step("Pending")
def start(job: Job, world: World) -> Move:
    """Launch JupyterLab if need be; in service once it answers."""
    if job.intent.get("delete"):
        return Move("Deleting")
    context = {"log_group": LOG_GROUP, "log_stream": stream_of(job).replace("{", "").replace("}", "")}
    return notebooks.begin(
        job, world, _spec, role_arn=job.record.private["means"]["role_arn"], context=context
    )


@MACHINE.step("InService")
def serve(job: Job, world: World) -> Move:
    """Act on a Delete; start again what was lost; an idle one is deleted, its files stay."""
    return notebooks.watch(job, world, asked="delete", stopping="Deleting", stopped="Deleted")


@MACHINE.step("Failed")
def rest(job: Job, _world: World) -> Move:
    """Wait to be deleted."""
    return Move("Deleting") if job.intent.get("delete") else Move("Failed", after_s=notebooks.REST_S)


@MACHINE.step("Deleting")
def delete(job: Job, world: World) -> Move:
    """Wait until JupyterLab has ended."""
    if not job.memory.get("launched"):
        return Move("Deleted", private={"intent": {}, "route": None})
    return notebooks.ending(job, world, stopping="Deleting", stopped="Deleted")


@MACHINE.step("Deleted")
def forget(job: Job, world: World) -> Move:
    """Remove the record after a day."""
    record = job.record
    left = record.modified + SHOWN - world.clock()
    if left > timedelta(0):
        return Move("Deleted", after_s=left.total_seconds())

    def unit(conn: Connection) -> None:
        records.delete(conn, record.account, record.region, record.noun, record.key)
        tags.drop(conn, record.arn)

    world.store.write(unit)
    return Move("Deleted")


def stream_of(job: Job) -> str:
    """Return the app's log stream, as Studio names it."""
    owner = job.get("SpaceName") or job.get("UserProfileName")
    return f"{job['DomainId']}/{owner}/{job['AppType']}/{job['AppName']}"


def _spec(job: Job, world: World) -> RunSpec:
    record, means = job.record, job.record.private["means"]
    return RunSpec(
        run_id=notebooks.run_id_of(job),
        kind=RunKind.NOTEBOOK,
        account=record.account,
        region=record.region,
        name=job["AppName"],
        arn=record.arn,
        runtime=Runtime(kind="builtin", name="jupyterlab"),
        size=machine.size_of(means["instance_type"]),
        instance_type=means["instance_type"],
        attempt=int(job.memory.get("start", 1)),
        request={
            "Path": notebooks.path_of(record),
            "Volume": means["volume"],
            "VolumeSizeInGB": means["volume_gb"],
            "IdleMinutes": means["idle_minutes"] or world.settings.notebook_idle_minutes,
            "Lifecycle": None,
            "Repositories": means["repositories"],
            "Metadata": _metadata(job, means),
        },
    )


def _metadata(job: Job, means: dict[str, Any]) -> dict[str, str]:
    """Return what the SDKs look for in an app. Source: developer guide, "app metadata"."""
    names = ("AppType", "DomainId", "SpaceName", "UserProfileName")
    return {
        **{name: job[name] for name in names if job.get(name)},
        "ResourceName": job["AppName"],
        "ExecutionRoleArn": means["role_arn"],
    }
