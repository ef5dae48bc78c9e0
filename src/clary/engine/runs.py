"""Runs of a job: their names, credentials and tokens, and the facts that agents report.

Life of a run
1. `open_run` stores the run with a role's temporary credentials; repeating it changes nothing.
2. The placement launches the agents; each POSTs facts to `receive`.
3. `state_of` merges what the placement sees with what was reported.
4. `close_run` frees the folder and revokes the credentials.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from clary.compute.base import Result, RunPhase, RunSpec, RunState
from clary.engine import joblogs, jobmetrics
from clary.engine.world import World
from clary.kernel import ids
from clary.kernel.arns import Arn
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import AccessDenied, ResourceNotFound
from clary.store import identities, runs, work
from clary.store.identities import Credential

CREDENTIALS_LIFE = timedelta(days=30)
"""Longer than the longest job (28 days); revoked when the run closes."""


MLFLOW_PURPOSE = "mlflow"
"""Of the token with which a job logs through MLflow's interface."""
REPORT_PATIENCE_S = 60.0
"""How long a job that has ended waits for the last lines of an agent that lives but cannot report."""


def run_id_of(arn: str, name: str, *marks: object) -> str:
    """Return the run's id: the same for the same job and marks (attempt, incarnation), path-safe."""
    digest = hashlib.sha256(":".join([arn, *map(str, marks)]).encode()).hexdigest()[:10]
    return f"{name[:40]}-{digest}"


def open_run(world: World, spec: RunSpec, *, role_arn: str, context: Mapping[str, Any]) -> RunSpec:
    """Store the run and complete its spec with URLs, tokens and the role's temporary credentials.

    Parameters
    ----------
    spec : RunSpec
        All but `report_url`, `token`, `objects` and the credentials' part of `environment`.
    role_arn : str
        Role whose temporary credentials the job gets.
    context : mapping
        What reports need later: log group and stream prefix, metric definitions; as `listener` the ARN of a
        machine that is woken by each new metric.
    """
    credential, void = world.store.write(_opened, world, spec, role_arn, context)
    if void:
        world.publish("credential", void, None)
    world.publish(
        "credential", credential.access_key_id, entry_of(credential)
    )  # before the agent's first call
    return _completed(world, spec, credential)


def _opened(
    conn: Connection, world: World, spec: RunSpec, role_arn: str, context: Mapping[str, Any]
) -> tuple[Credential, str]:
    """Return the run's credentials, made where it is new, and the key of those that are void by that."""
    now, void = world.clock(), ""
    row = runs.find_run(conn, spec.run_id)
    if row is not None and row.document.get("node", "") != world.node:
        void = _forget(conn, row)  # opened on a node that is lost: whatever it still says
        row = None
    if row is not None:
        known = identities.find(conn, row.document["access_key_id"])
        if known is not None:
            return known, void
    role = Arn.parse(role_arn).resource.rpartition("/")[2] if role_arn else "Clary"
    credential = Credential(
        access_key_id=ids.access_key_id(temporary=True),
        secret=ids.secret_access_key(),
        account=spec.account,
        principal=f"arn:aws:sts::{spec.account}:assumed-role/{role}/SageMaker",
        session_token=ids.token(48),
        expires=now + CREDENTIALS_LIFE,
    )
    identities.insert(conn, credential)
    document = {
        **context,
        "access_key_id": credential.access_key_id,
        "name": spec.name,
        "account": spec.account,
        "region": spec.region,
        "opened_ms": int(now.timestamp() * 1000),
        "node": world.node,
    }
    if row is None:
        runs.open_run(conn, spec.run_id, spec.arn, "", "", document)
    return credential, void


def _completed(world: World, spec: RunSpec, credential: Credential) -> RunSpec:
    """Return the spec with what its agents and its program need to speak for it."""
    url = world.settings.url
    environment = {
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_ENDPOINT_URL": url,
        "S3_ENDPOINT_URL": url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/_clary/runs/{spec.run_id}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": world.run_token(_mark(spec.run_id, world.node), "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_TRACKING_URI": f"{url}/_clary/mlflow",
        "MLFLOW_TRACKING_TOKEN": f"{spec.run_id}:{world.run_token(spec.run_id, MLFLOW_PURPOSE)}",
        **spec.environment,
    }
    return RunSpec.from_json(
        spec.to_json()
        | {
            "environment": environment,
            "report_url": f"{url}/_clary/runs/{spec.run_id}",
            "token": world.run_token(_mark(spec.run_id, world.node), "report"),
            "objects": {
                "endpoint": url,
                "access_key": credential.access_key_id,
                "secret_key": credential.secret,
                "session_token": credential.session_token or "",
                "region": spec.region,
            },
        }
    )


def entry_of(credential: Credential) -> dict[str, Any]:
    """Return what the edges keep of a credential."""
    return {
        "secret": credential.secret,
        "account": credential.account,
        "principal": credential.principal,
        "session_token": credential.session_token,
        "expires_ms": epoch_ms(credential.expires) if credential.expires else None,
    }


def close_run(world: World, run_id: str) -> None:
    """End what is left of the run, free its folder, revoke its credentials and forget it; safe to repeat.

    The row goes last: after a crash in between it is what shows that there is still something to free.
    """
    world.placement.discard(run_id)

    def unit(conn: Connection) -> str | None:
        row = runs.find_run(conn, run_id)
        return None if row is None else _forget(conn, row)

    key = world.store.write(unit)
    if key:
        world.publish("credential", key, None)


def is_open(world: World, run_id: str) -> bool:
    """Say whether a run was opened and not closed."""
    return world.store.read(runs.find_run, run_id) is not None


def is_elsewhere(world: World, run_id: str) -> bool:
    """Say whether a run was opened on another node: that one is lost, or the machine were not ours."""
    row = world.store.read(runs.find_run, run_id) if world.node else None
    return row is not None and row.document.get("node", "") != world.node


def _forget(conn: Connection, row: runs.Run) -> str:
    """Revoke a run's credentials and forget it; return their key's id."""
    key: str = row.document["access_key_id"]
    identities.delete(conn, key)
    runs.close_run(conn, row.run_id)
    return key


def _mark(run_id: str, node: str) -> str:
    """Return what a run's tokens are made of: one that was opened on another node has others."""
    return f"{run_id}@{node}" if node else run_id


def state_of(world: World, run_id: str) -> RunState:
    """Return how the run stands: the placement's view, completed by what agents reported.

    A host that has ended but whose live agent has not told so yet still is `UPLOADING`: its last lines and
    metrics come with that report.
    """
    seen = world.placement.poll(run_id)
    reported = world.store.read(runs.hosts, run_id)
    results = {host: Result.from_json(row.result) for host, row in reported.items() if row.result}
    addresses = {host: row.address for host, row in reported.items() if row.address}
    merged = {**results, **seen.results}
    phase = seen.phase
    if phase is RunPhase.ENDED and _awaits_report(world, seen, results):
        phase = RunPhase.UPLOADING
    if phase is RunPhase.LOST and merged and len(merged) >= max(1, len(reported)):
        phase = RunPhase.ENDED
    return RunState(phase=phase, results=merged, addresses={**addresses, **seen.addresses})


def _awaits_report(world: World, seen: RunState, reported: Mapping[str, Result]) -> bool:
    """Say whether a live agent still has something to tell of a host that has ended."""
    now = epoch_ms(world.clock())
    return any(
        host in seen.live and host not in reported and now - result.ended_ms < REPORT_PATIENCE_S * 1000
        for host, result in seen.results.items()
    )


def check_token(world: World, run_id: str, purpose: str, authorization: str) -> None:
    """Refuse a request whose bearer token is not the run's.

    Raises
    ------
    AccessDenied
        The token is missing or wrong.
    """
    row = world.store.read(runs.find_run, run_id) if world.node else None
    mark = _mark(run_id, row.document.get("node", "") if row else world.node)
    given = authorization.removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given, world.run_token(mark, purpose)):
        raise AccessDenied("the token does not belong to this run")


def receive(world: World, run_id: str, host: str, report: Mapping[str, Any]) -> None:
    """Store one report of an agent, once however often it is sent; wake the job where it matters.

    Raises
    ------
    ResourceNotFound
        The run was closed: the agent may forget the report.
    """
    result = report.get("result")
    phase = report.get("phase")
    address = report.get("address")

    def unit(conn: Connection) -> tuple[str, bool]:
        row = runs.find_run(conn, run_id)
        if row is None:
            raise ResourceNotFound(f"run {run_id} is closed")
        is_new = runs.report(conn, row, host, int(report["seq"]), phase, address, result)
        if is_new:
            joblogs.append(conn, row.document, host, report.get("logs") or ())
            jobmetrics.append(conn, row.document, report.get("metrics") or (), host)
        is_step = is_new and bool(phase or address or result)
        if is_step:
            work.wake(conn, row.arn, world.clock())
        listener = row.document.get("listener")
        if is_new and listener and report.get("metrics"):
            work.wake(conn, listener, world.clock())
            is_step = True
        return row.arn, is_step

    arn, is_step = world.store.write(unit)
    if is_step:
        world.nudge(arn)


def credentials_of(world: World, run_id: str) -> dict[str, Any]:
    """Return the run's temporary credentials in the container-credentials endpoint's shape."""
    row = world.store.read(runs.find_run, run_id)
    credential = world.store.read(identities.find, row.document["access_key_id"]) if row else None
    if row is None or credential is None or credential.expires is None:
        raise ResourceNotFound(f"run {run_id} is closed")
    return {
        "RoleArn": credential.principal,
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret,
        "Token": credential.session_token,
        "Expiration": credential.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
