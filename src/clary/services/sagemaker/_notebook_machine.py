"""States of a NotebookInstance: the service's own, driven by what its agent reports.

Pending ──▶ InService ──▶ Stopping ──▶ Stopped ──▶ Pending …
   └──▶ Failed ◀──┘                      └──▶ Updating, Deleting
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from clary.compute import machine
from clary.compute.base import Outcome, RunKind, RunPhase, RunSpec, Runtime
from clary.engine import runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.store import records, tags
from clary.store.records import Record

LOG_GROUP = "/aws/sagemaker/NotebookInstances"
WATCH_S = 15.0
"""Reports wake the machine; this is the net under a lost one."""
POLL_S = 3.0
REST_S = 3600.0
STOP_GRACE_S = 20.0
"""For JupyterLab to end its kernels."""
TRIES = 3
"""Starts in a row that may be lost, or end by themselves, before the instance is Failed."""
STEADY_S = 600.0
"""An instance that was in service for so long has all its tries again."""
IDLE_TAG = "clary:idle-stop-minutes"
"""Tag of an instance that says after how many idle minutes it stops; 0 never."""
ROOT = "/_clary/notebook"
APP_PREFIX = "-"
"""Begins the key of an App, and no name of a NotebookInstance: both have one kind of path."""

MACHINE = Machine(
    noun="NotebookInstance",
    is_placed=True,
    is_kept=True,
    start="Pending",
    edges={
        "Pending": frozenset({"InService", "Failed"}),
        "InService": frozenset({"Stopping", "Stopped", "Pending", "Failed"}),
        "Stopping": frozenset({"Stopped"}),
        "Stopped": frozenset({"Pending", "Updating", "Deleting"}),
        "Failed": frozenset({"Pending", "Updating", "Deleting"}),
        "Updating": frozenset({"Stopped"}),
        "Deleting": frozenset(),
    },
)


@MACHINE.step("Pending")
def start(job: Job, world: World) -> Move:
    """Launch the run if need be; in service once JupyterLab answers."""
    context = {
        "log_group": LOG_GROUP,
        "log_stream": "{name}",
        "metric_dimension": "NotebookInstanceName",
        "metric_group": "NotebookInstances",
    }
    return begin(job, world, _spec, role_arn=job["RoleArn"], context=context)


def begin(
    job: Job,
    world: World,
    spec_of: Callable[[Job, World], RunSpec],
    *,
    role_arn: str,
    context: Mapping[str, str],
) -> Move:
    """Launch a run of JupyterLab if need be, and say where that leads: an instance's, or an app's."""
    run_id = run_id_of(job)
    if not job.memory.get("launched"):
        spec = spec_of(job, world)
        world.placement.launch(runs.open_run(world, spec, role_arn=role_arn, context=context))
    state = runs.state_of(world, run_id)
    if state.phase is RunPhase.SERVING:
        address = next(iter(state.addresses.values()))
        memory = {"since": world.clock().timestamp()}
        private = {"is_created": True, "route": publish(job, world, address)}
        return Move("InService", memory=memory, private=private, after_s=WATCH_S)
    if state.phase not in {RunPhase.ENDED, RunPhase.LOST}:
        return Move("Pending", memory={"launched": True}, after_s=POLL_S)
    result = next(iter(state.results.values()), None)
    runs.close_run(world, run_id)
    is_ours = result is None or result.is_retryable or result.outcome is not Outcome.FAILED
    if is_ours and job.memory.get("tries", 1) < TRIES:
        return Move("Pending", memory=next_start(job, tries=job.memory.get("tries", 1) + 1), after_s=POLL_S)
    reason = result.reason if result else "InternalServerError: the instance was lost while it started."
    return Move("Failed", {"FailureReason": reason}, memory=next_start(job), after_s=REST_S)


@MACHINE.step("InService")
def serve(job: Job, world: World) -> Move:
    """Act on a stop; start again what was lost, its volume is still there."""
    return watch(job, world, asked="stop", stopping="Stopping", stopped="Stopped")


def watch(job: Job, world: World, *, asked: str, stopping: str, stopped: str) -> Move:
    """Look at a run in service, and say where that leads.

    Parameters
    ----------
    asked : str
        Intent that ends it.
    stopping, stopped : str
        Names of the states behind.
    """
    if job.intent.get(asked):
        publish(job, world, "")
        return Move(stopping, private={"route": None})
    state = runs.state_of(world, run_id_of(job))
    if state.phase not in {RunPhase.ENDED, RunPhase.LOST}:
        return Move("InService", after_s=WATCH_S)
    publish(job, world, "")
    result = next(iter(state.results.values()), None)
    runs.close_run(world, run_id_of(job))
    private: dict[str, Any] = {"route": None, "intent": {}}
    if result is not None and result.outcome is Outcome.STOPPED:
        return Move(stopped, memory=next_start(job), private=private, after_s=REST_S)
    was_steady = world.clock().timestamp() - job.memory.get("since", 0.0) > STEADY_S
    tries = 1 if was_steady else job.memory.get("tries", 1) + 1
    is_full = result is not None and result.exit_code is None and result.signal is None
    if tries > TRIES or (is_full and result is not None and not result.is_retryable):
        reason = result.reason if result else "InternalServerError: the instance was lost again and again."
        return Move(
            "Failed", {"FailureReason": reason}, memory=next_start(job), private=private, after_s=REST_S
        )
    return Move("Pending", memory=next_start(job, tries=tries), private=private)


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """Wait until the run has ended."""
    return ending(job, world, stopping="Stopping", stopped="Stopped")


def ending(job: Job, world: World, *, stopping: str, stopped: str) -> Move:
    """Stop the run, and say whether it has ended."""
    run_id = run_id_of(job)
    world.placement.stop(run_id, outcome=Outcome.STOPPED, grace_s=STOP_GRACE_S)
    if runs.state_of(world, run_id).phase not in {RunPhase.ENDED, RunPhase.LOST}:
        return Move(stopping, after_s=POLL_S)
    runs.close_run(world, run_id)
    return Move(stopped, memory=next_start(job), private={"intent": {}}, after_s=REST_S)


@MACHINE.step("Stopped", "Failed", "Updating")
def rest(job: Job, _world: World) -> Move:
    """Take up what the customer asked for."""
    if job.intent.get("delete"):
        return Move("Deleting")
    if job.intent.get("start"):
        return Move("Pending", private={"intent": {}})
    if job.intent.get("update"):
        if job.state != "Updating":
            return Move("Updating")
        return Move("Stopped", private={"intent": {}}, after_s=REST_S)
    return Move(job.state, after_s=REST_S)


@MACHINE.step("Deleting")
def delete(job: Job, world: World) -> Move:
    """Remove the volume, and with it the record."""
    runs.close_run(world, run_id_of(job))
    shutil.rmtree(volume_of(job.record, world), ignore_errors=True)
    record = job.record

    def unit(conn: Connection) -> None:
        records.delete(conn, record.account, record.region, record.noun, record.key)
        tags.drop(conn, record.arn)

    world.store.write(unit)
    return Move("Deleting")


def run_id_of(job: Job) -> str:
    """Return the id of the present start's run."""
    born = job.record.created.isoformat()
    return runs.run_id_of(
        job.record.arn, job.record.key.removeprefix(APP_PREFIX), born, job.memory.get("start", 1)
    )


def noun_of(key: str) -> str:
    """Return the noun that a path's last part names: an instance, or an app of Studio."""
    return "App" if key.startswith(APP_PREFIX) else "NotebookInstance"


def path_of(record: Record) -> str:
    """Return the path at which the edge has the instance."""
    return f"{ROOT}/{record.account}/{record.region}/{quote(record.key, safe='')}"


def seal_of(record: Record, world: World) -> str:
    """Return the key that signs the sessions of this very instance; one of the same name has another."""
    return world.run_token(f"{record.arn}/{record.created.isoformat()}", "notebook")


def volume_of(record: Record, world: World) -> Path:
    """Return the folder that outlives a stop; not to be guessed by one who knows another's names."""
    mark = hashlib.sha256(f"{record.arn}/{record.created.isoformat()}".encode()).hexdigest()[:16]
    return world.settings.data_dir / "notebooks" / record.account / mark


def next_start(job: Job, *, tries: int = 1) -> dict[str, Any]:
    """Return the memory with which the next start begins: a run of its own."""
    return {"start": int(job.memory.get("start", 1)) + 1, "tries": tries, "launched": False}


def publish(job: Job, world: World, address: str) -> dict[str, str] | None:
    """Tell the edges where the instance answers, or that it does no more."""
    record = job.record
    route = {"address": address, "seal": seal_of(record, world)} if address else None
    world.publish("notebook", f"{record.account}/{record.region}/{record.key}", route)
    return route


def _spec(job: Job, world: World) -> RunSpec:
    record = job.record
    return RunSpec(
        run_id=run_id_of(job),
        kind=RunKind.NOTEBOOK,
        account=record.account,
        region=record.region,
        name=record.key,
        arn=record.arn,
        runtime=Runtime(kind="builtin", name="jupyterlab"),
        size=machine.size_of(job["InstanceType"]),
        instance_type=job["InstanceType"],
        attempt=int(job.memory.get("start", 1)),
        request={
            "Path": path_of(record),
            "Volume": str(volume_of(record, world)),
            "VolumeSizeInGB": job["VolumeSizeInGB"],
            "IdleMinutes": _idle_minutes(record, world),
            "Lifecycle": _lifecycle(job, world),
            "Repositories": _repositories(job, world),
        },
    )


def _idle_minutes(record: Record, world: World) -> int:
    own = world.store.read(tags.of, record.arn).get(IDLE_TAG, "")
    return int(own) if own.isascii() and own.isdigit() else world.settings.notebook_idle_minutes


def _lifecycle(job: Job, world: World) -> dict[str, Any] | None:
    """Return the scripts to run, as they are now; OnCreate only before the first time in service."""
    name = job.get("NotebookInstanceLifecycleConfigName")
    record = job.record
    noun = "NotebookInstanceLifecycleConfig"
    found = world.store.read(records.find, record.account, record.region, noun, name) if name else None
    if found is None:
        return None
    events = ("OnStart",) if record.private.get("is_created") else ("OnCreate", "OnStart")
    scripts = {event: found.document[event][0]["Content"] for event in events if found.document.get(event)}
    return {"Arn": found.arn, **scripts}


def _repositories(job: Job, world: World) -> list[Mapping[str, Any]]:
    """Return what to clone: URLs, and those that CodeRepository records stand for."""
    record = job.record
    asked = [job.get("DefaultCodeRepository"), *(job.get("AdditionalCodeRepositories") or ())]
    found: list[Mapping[str, Any]] = []
    for each in filter(None, asked):
        if each.startswith("https://"):
            found.append({"RepositoryUrl": each})
            continue
        known = world.store.read(records.find, record.account, record.region, "CodeRepository", each)
        if known is not None:
            found.append(known.document["GitConfig"])
    return found
