"""What the control plane consists of: the store, compute, the engine and the services, started in order."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from clary.compute.base import Placement, RunPhase
from clary.engine import runs as engine_runs
from clary.engine.nodes import identity
from clary.engine.worker import Worker
from clary.engine.world import World
from clary.gateway.control.asynchronous import Invocations
from clary.gateway.control.capture import Uploader
from clary.gateway.control.deliveries import Deliveries
from clary.gateway.control.neighbours import Neighbours
from clary.gateway.control.usage import Meter
from clary.gateway.control.watch import Watch
from clary.gateway.registry.sweep import Sweeper
from clary.kernel import ids
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.registry import member
from clary.kernel.settings import Settings
from clary.resource.declare import Resource
from clary.resource.registry import Served, served
from clary.services.iam.role import new_role
from clary.store import identities, records, runs, work
from clary.store.base import Duplicate
from clary.store.database import Store
from clary.store.identities import Credential
from clary.toolkit.objects import Objects

ROLE = "SageMakerRole"
"""Role of every new account: what `get_execution_role()` returns."""
_TOLD_BY_AGENTS = frozenset(RunPhase) - {RunPhase.QUEUED, RunPhase.STARTING, RunPhase.ENDED, RunPhase.LOST}
"""Told twice they cost two steps; a machine's own polling is the net under a lost report."""


@dataclass
class Platform:
    """The parts of a running control plane."""

    world: World
    worker: Worker
    services: Mapping[str, Served]
    resources: Mapping[str, Resource]
    meter: Meter
    uploader: Uploader
    invocations: Invocations
    deliveries: Deliveries
    sweeper: Sweeper
    neighbours: Neighbours

    @classmethod
    def start(cls, settings: Settings, watch: Watch) -> "Platform":
        """Open the store, read the services, adopt what runs, and begin to drive."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        node = identity(settings)
        store = Store.open(settings.store_dsn, settings.data_dir / "secret.key", node=node)
        objects = _objects(settings)
        services = served("clary.services")
        resources = {noun: each for service in services.values() for noun, each in service.resources.items()}
        machines = {noun: each for service in services.values() for noun, each in service.machines.items()}
        world = World(
            settings=settings,
            store=store,
            clock=now,
            secret=_secret(settings),
            objects=objects,
            node=node,
        )
        neighbours = Neighbours(world, watch, machines)
        world.publish = neighbours.publish
        worker = Worker(
            world,
            machines,
            noted={noun: each.note for noun, each in resources.items() if each.note},
            place=neighbours.nodes.choose,
        )
        world.nudge, world.wake = worker.nudge, worker.wake
        _place(settings, world)
        world.extras["objects"] = Objects(
            endpoint=objects["endpoint"],
            access_key=objects["access_key"],
            secret_key=objects["secret_key"],
            region=objects["region"],
        )
        world.extras["sweep"] = lambda: _sweep(world)
        world.extras["members_of"] = lambda noun: sorted(
            services["sagemaker"].model.operations[f"Describe{noun}"].output.members
        )
        platform = cls(
            world,
            worker,
            services,
            resources,
            Meter(world).start(),
            Uploader(world).start(),
            Invocations(world).start(),
            Deliveries(world).start(),
            Sweeper(world).start(),
            neighbours.start(),
        )
        _sweep(world)
        platform.ensure_default_account()
        worker.start()
        return platform

    def close(self) -> None:
        """Stop driving; jobs go on."""
        self.worker.close()
        self.neighbours.close()
        self.meter.close()
        self.uploader.close()
        self.invocations.close()
        self.deliveries.close()
        self.sweeper.close()
        self.world.store.close()

    def create_account(self, name: str) -> dict[str, str]:
        """Create an account with its role and a key pair, and return the keys: they are shown once."""
        account, key, secret = ids.account_id(), ids.access_key_id(), ids.secret_access_key()

        def unit(conn: Connection) -> None:
            identities.create_account(conn, name, account)
            identities.insert(
                conn,
                Credential(
                    access_key_id=key,
                    secret=secret,
                    account=account,
                    principal=f"arn:aws:sts::{account}:assumed-role/{ROLE}/{name}",
                    session_token=None,
                    expires=None,
                ),
            )
            records.insert(
                conn, new_role(account, ROLE, now(), about="The role that jobs run as by default.")
            )

        self.world.store.write(unit)
        return {"name": name, "account": account, "access_key_id": key, "secret_access_key": secret}

    def ensure_default_account(self) -> None:
        """Create the account `default` at the first start; its keys are kept for `clary env`."""
        path = self.world.settings.data_dir / "credentials.json"
        known = {account.name for account in self.world.store.read(identities.accounts)}
        if "default" in known and path.exists():
            return
        try:
            created = self.create_account("default" if "default" not in known else f"default-{ids.short(4)}")
        except Duplicate:  # another node's first start was faster
            created = self.create_account(f"default-{ids.short(4)}")
        text = json.dumps({"default": {key: value for key, value in created.items() if key != "name"}})
        partial = path.with_suffix(".part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        partial.replace(path)


def _changed(world: World, run_id: str) -> None:
    """Wake the job whose run changed state on this machine, unless a live agent reports the change itself."""
    state = world.placement.poll(run_id)
    if state.live or state.phase in _TOLD_BY_AGENTS:
        return
    row = world.store.read(runs.find_run, run_id)
    if row is not None:
        world.wake(row.arn)


def _place(settings: Settings, world: World) -> None:
    """Have runs go to the nodes of a cluster where one is set, else onto this machine."""
    is_placed = threading.Event()

    def on_change(run_id: str) -> None:
        is_placed.wait()  # runs of an earlier life are found, and tell, before there is a placement to ask
        _changed(world, run_id)

    name = "ray" if settings.cluster else "local"
    module = member("clary.compute.placements", name)
    placement: Placement = getattr(module, f"{name.title()}Placement")(settings, on_change)
    world.placement = placement
    is_placed.set()


def _sweep(world: World) -> None:
    """Close the runs whose job has ended: a crash may have come between the end and the release."""
    for run_id, arn in world.store.read(runs.open_runs):
        if world.store.read(work.find, arn) is None:
            engine_runs.close_run(world, run_id)


def _objects(settings: Settings) -> dict[str, str]:
    """Return the object store with its admin key."""
    if settings.objects_url:
        return {
            "endpoint": settings.objects_url,
            "access_key": settings.objects_access_key,
            "secret_key": settings.objects_secret_key,
            "region": settings.region,
        }
    path = settings.data_dir / "objects.json"
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        raise SetupError(
            f"{path} is missing: start Clary with `clary up`, which starts the object store."
        ) from None
    return {name: found[name] for name in ("endpoint", "access_key", "secret_key", "region")}


def _secret(settings: Settings) -> bytes:
    return (settings.data_dir / "secret.key").read_bytes()
