"""Serving: a model in, a replica that answers on a unix socket, kept alive until it is told to stop.

Downloading ──▶ Starting ──ping──▶ Serving ──stop──▶ result
                   ▲                  │ crash: again, at most 3 times, each after a longer pause
                   └──────────────────┘
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.compute.agent import failure, health, packages, programs, supply, utilisation
from clary.compute.agent.accelerator import Lease, leased
from clary.compute.agent.execute import Executor, objects_for
from clary.compute.agent.host import INSIDE, REASON_CHARS, Host
from clary.compute.agent.install import install
from clary.compute.agent.logs import Pump
from clary.compute.agent.packages import Packages
from clary.compute.agent.programmes import _bridged
from clary.compute.agent.reports import Reporter
from clary.compute.agent.staging import fetch_archive
from clary.compute.agent.supply import Supplier
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.runners.base import Exit, Program, Running
from clary.kernel.errors import CustomerError
from clary.kernel.settings import Settings
from clary.toolkit import beneath, channels, requirements, script
from clary.toolkit.channels import Channel
from clary.toolkit.objects import Objects

REPLICA = "clary.serving.replica:main"
MULTI_REPLICA = "clary.serving.multi.host:main"
MODELS = f"{INSIDE}/models"
"""Where a multi-model replica finds its models."""
FAILURE = "output/failure"
"""Below `/opt/ml`: why the model could not be loaded."""
SOCKET_FOLDER = "/run/clary"
"""Inside; what is bound there has a short path, whatever the data folder's is."""
SOCKET = "replica.sock"
LONGEST_ADDRESS = 104
"""Bytes of a unix socket's path that fit everywhere; Linux takes 107, macOS 103 and an end."""
STARTUP_S = 600.0
"""Until the first good health check, by default. Source: inference toolkit, startup timeout."""
PING_S = 2.0
"""For one answer. Source: developer guide, "Use your own inference code", how containers should respond."""
RESTARTS = 3
STEADY_S = 600.0
"""A replica that was well for so long has all its restarts again."""
_PAUSES_S = (0.1, 0.5, 2.0)
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.002, 0.1

log = logging.getLogger(__name__)


def run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    """Serve on this host."""
    if len(host.spec.request.get("Containers") or ()) > 1:
        from clary.compute.agent.programmes import _containers  # noqa: PLC0415 - it stands on this module

        return _containers.ContainersRun(host, watch, reporter).run()
    with leased(host, reporter) as lease:
        return ServingRun(host, watch, reporter, lease).run()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A process of a replica that has several."""

    call: str
    arguments: Mapping[str, Any]
    sockets: Path
    """Folder of the replica's sockets, outside."""
    ro_binds: tuple[tuple[str, str], ...] = ()


class ServingRun:
    """One replica, from its model to its end."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter, lease: Lease | None = None) -> None:
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._lease = lease
        self._container = container(host.spec.request)
        self.executor = Executor(host, watch, reporter)
        self.is_multi = self._container.get("Mode") == "MultiModel"

    def run(self) -> Result:
        """Return how it ended."""
        self._host.enter(RunPhase.DOWNLOADING)
        objects = objects_for(self._host)
        folder = socket_folder(self._host.home)
        with self._ahead(folder):
            self._watch.during(lambda: self.stage(objects), objects.cancel.set)
            self._host.enter(RunPhase.STARTING)
            program = self.program(self.packages())
            with self._supplied(objects, folder):
                return self._keep_up(self._lent(program), str(folder / SOCKET))

    def _ahead(self, folder: Path) -> AbstractContextManager[None]:
        """Open the sandbox while the model comes in, where it is known how it will be."""
        is_plain = self._lease is None and not self.is_multi
        if not is_plain or self._host.spec.request.get("EnableNetworkIsolation"):
            return nullcontext()
        return self.executor.ahead(((str(folder), SOCKET_FOLDER),))

    @contextmanager
    def _supplied(self, objects: Objects, folder: Path) -> Iterator[None]:
        """Bring in what a multi-model replica asks for, while the block runs."""
        if not self.is_multi:
            yield
            return
        prefix, home = self._container["ModelDataUrl"], self._host.home
        supplier = Supplier(prefix, home / "models", self._host.work, objects, self._reporter.metric)
        with supplier.open(folder / supply.SOCKET):
            yield

    def _lent(self, program: Program) -> Program:
        return self._lease.lend(program) if self._lease is not None else program

    def _keep_up(self, program: Program, address: str) -> Result:
        """Run the replica, again where it ends; return how it ended for good."""
        n_restarts = 0
        while True:
            begun = time.monotonic()
            exit_, pump, was_well = self._serve(program, address)
            if isinstance(exit_, Outcome):
                return self._host.result(exit_)
            if time.monotonic() - begun > STEADY_S:
                n_restarts = 0
            if not was_well or n_restarts == RESTARTS:
                return self.failed(exit_, pump, n_restarts if was_well else 0)
            log.warning("the replica ended (%s) and is started again", failure.of_exit(exit_))
            self._host.enter(RunPhase.STARTING)
            n_restarts += 1
            self.rest(n_restarts)

    def _serve(self, program: Program, address: str) -> tuple[Exit | Outcome, Pump, bool]:
        """Run the replica once; return its exit, or the outcome of a stop, and whether it was ever well."""
        Path(address).unlink(missing_ok=True)
        with self._running(program) as (running, pump):
            address = running.address or address
            exit_ = self.await_health(running, address)
            if exit_ is not None:
                return exit_, pump, False
            self._host.enter(RunPhase.SERVING, address)
            with utilisation.told([running], self._host.spec.size, self._reporter.metric):
                ending = self._watch.until_exit(running)
            return ending.outcome or ending.exit, pump, True

    def _running(self, program: Program) -> AbstractContextManager[tuple[Running, Pump]]:
        if not self.is_contained or not self.is_multi:
            return self.executor.running(program)
        return _bridged.running(self.executor, self.contained(), program)

    def await_health(self, running: Running, address: str) -> Exit | Outcome | None:
        """Wait for the first good answer; None when it came.

        Raises
        ------
        CustomerError
            It did not come in time.
        """
        limit_s = float(self._host.spec.request.get("StartupTimeoutInSeconds") or STARTUP_S)
        until = time.monotonic() + limit_s
        pause_s = _FIRST_LOOK_S
        wrong = "nothing listens"
        while True:
            try:
                wrong = health.ping(address, PING_S)
                if not wrong:
                    return None
            except (OSError, ValueError) as error:
                wrong = str(error)
            if (exit_ := running.wait(pause_s)) is not None:
                return exit_
            pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
            if self._watch.look() is not None:
                return self._watch.until_exit(running).outcome or Outcome.STOPPED
            if time.monotonic() > until:
                raise CustomerError(
                    f"The container did not pass the ping health check within {limit_s:.0f} seconds: "
                    f"{wrong}. Please check CloudWatch logs for this endpoint."
                )

    def failed(self, exit_: Exit, pump: Pump, n_restarts: int, *, of: str = "") -> Result:
        """Return the result of a replica that ended; `of` names the container where there are several."""
        ended = failure.of_exit(exit_)
        if exit_.is_out_of_memory:
            reason = failure.out_of_memory(self._host.spec, ended, pump.tail)
        else:
            again = f" after {n_restarts} restarts" if n_restarts else ""
            lead = (
                f"AlgorithmError: The container{of} did not pass the ping health check: it ended with "
                f"{ended}{again}. Please check CloudWatch logs for this endpoint. Last lines: "
            )
            written = beneath.read_text(self._host.ml, FAILURE, REASON_CHARS).strip()
            reason = failure.clip(lead, written or failure.last_words(pump.tail or pump.last), "")
        return self._host.result(Outcome.FAILED, reason=reason, exit_code=exit_.code, signal=exit_.signal)

    def rest(self, n_restarts: int) -> None:
        """Pause before a restart, the first or a later one.

        Raises
        ------
        InterruptionError
            A stop was asked for.
        """
        until = time.monotonic() + _PAUSES_S[n_restarts - 1]
        while (left := until - time.monotonic()) > 0:
            if stop := self._watch.look():
                raise InterruptionError(stop.outcome)
            time.sleep(min(left, 0.1))

    def stage(self, objects: Objects) -> None:
        """Bring in the model, and the code where it lies apart from it."""
        ml = self._host.ml
        for folder in ("model", "code", "output"):
            (ml / folder).mkdir(parents=True, exist_ok=True)
        if self.is_contained:
            self.executor.bring_image(objects.cancel)
        source = (self._container.get("ModelDataSource") or {}).get("S3DataSource")
        if source:
            self._stage_source(objects, source)
        elif (url := self._container.get("ModelDataUrl")) and not self.is_multi:
            fetch_archive(objects, url, ml / "model", self._host.work)
        submitted = str(self._environment().get("SAGEMAKER_SUBMIT_DIRECTORY") or "")
        if submitted.startswith("s3://") and not self.is_contained:
            fetch_archive(objects, submitted, ml / "model/code", self._host.work)

    def _stage_source(self, objects: Objects, source: Mapping[str, Any]) -> None:
        if source.get("CompressionType") == "Gzip":
            fetch_archive(objects, source["S3Uri"], self._host.ml / "model", self._host.work)
            return
        channel = Channel(name="model", uri=source["S3Uri"])
        items = channels.resolve(channel, objects)
        folder = self._host.ml / "model"
        objects.fetch([(item.entry, folder / item.name) for item in items if item.entry is not None])

    def _environment(self) -> Mapping[str, str]:
        environment: Mapping[str, str] = self._container.get("Environment") or {}
        return environment

    def packages(self) -> Packages:
        """Return the Python environment of the model's code, installed if need be."""
        code = self._host.ml / "model/code"
        if self._host.spec.runtime.kind == "builtin" or self.is_contained or not code.is_dir():
            return Packages(requirements.interpreter())
        return install(self._host, self._watch, self.executor, packages.runtime(), code)

    def described(self) -> dict[str, Any]:
        """Return what a replica is told of the model."""
        runtime = self._host.spec.runtime
        handler = "container" if self.is_contained else "script" if self.is_script else "builtin"
        return {
            "handler": handler,
            "name": runtime.name,
            "version": runtime.version,
            "model_dir": f"{INSIDE}/model",
        }

    def _base(self) -> dict[str, str]:
        """Return what the platform sets for whatever serves."""
        base = programs.platform_environment(self._host)
        for name in ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN"):
            base.pop(name, None)
        return base

    def contained(self) -> Program:
        """Return the program of a real image."""
        host, variables = self._host, {**self._base(), **self._environment()}
        ro_binds: tuple[tuple[str, str], ...] = ()
        if self.is_multi:
            variables["SAGEMAKER_MULTI_MODEL"] = "true"
            (host.home / "models").mkdir(exist_ok=True)
            ro_binds = ((str(host.home / "models"), MODELS),)
        network = not host.spec.request.get("EnableNetworkIsolation", False)
        return programs.contained(host, {}, variables, "serve", network=network, ro_binds=ro_binds)

    def program(self, found: Packages, part: Part | None = None) -> Program:
        """Return the replica's program: in the warm process where nothing speaks against it."""
        host, base = self._host, self._base()
        if self.is_contained and part is None and not self.is_multi:
            return self.contained()
        environment = {**base, **self._environment(), "PATH": found.path(base)}
        sockets = socket_folder(host.home)
        own = {"socket": f"{SOCKET_FOLDER}/{SOCKET}", "failure": f"{INSIDE}/{FAILURE}"}
        arguments = self.described() | own
        ro_binds, replica = found.ro_binds, REPLICA
        if part is not None:
            replica, arguments, sockets = part.call, dict(part.arguments), part.sockets
            ro_binds = (*ro_binds, *part.ro_binds)
        elif self.is_multi:
            replica, arguments = MULTI_REPLICA, self._multi(arguments, environment)
            (host.home / "models").mkdir(exist_ok=True)
            ro_binds = (*ro_binds, (str(host.home / "models"), MODELS))
        binds = ((str(sockets), SOCKET_FOLDER),)
        network = self.is_contained or not host.spec.request.get("EnableNetworkIsolation", False)
        common: dict[str, Any] = {"network": network, "binds": binds, "ro_binds": ro_binds}
        is_own = not self.is_contained and script.shadows([host.ml / "model/code", *found.outside])
        if found.is_warm and not is_own:
            if found.inside:
                arguments = {"call": replica, "arguments": arguments, "packages": list(found.inside)}
                call = "clary.toolkit.script:call"
            else:
                call = replica
            return Program(call=call, arguments=arguments, environment=environment, **common)
        folders = [*found.inside, f"{INSIDE}/model/code"]
        return programs.cold(replica, arguments, environment, folders, common)

    def _multi(self, arguments: Mapping[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """Return the arguments of a multi-model replica; common code is where its scripts look for it."""
        setting = self._container.get("MultiModelConfig") or {}
        environment["SAGEMAKER_MULTI_MODEL"] = "true"
        if (self._host.ml / "model/code").is_dir():
            environment["SAGEMAKER_SUBMIT_DIRECTORY"] = f"{INSIDE}/model/code"
        return {
            "socket": arguments["socket"],
            "supply": f"{SOCKET_FOLDER}/{supply.SOCKET}",
            "models": MODELS,
            "runtime": self._host.spec.runtime.kind,
            "name": arguments["name"],
            "version": arguments["version"],
            "memory_mib": self._host.spec.size.memory_mib,
            "is_cached": setting.get("ModelCacheSetting", "Enabled") == "Enabled",
        }

    @property
    def is_contained(self) -> bool:
        """Whether a real image answers, over HTTP."""
        return self._host.spec.runtime.kind == "container"

    @property
    def is_script(self) -> bool:
        """Whether the customer's code answers."""
        if self._host.spec.runtime.kind == "builtin":
            return False
        code = self._host.ml / "model/code"
        has_code = "SAGEMAKER_PROGRAM" in self._environment() or (code / "inference.py").is_file()
        return has_code or self._host.spec.runtime.name != "xgboost"


def container(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container to serve: the run's own, or the first of a CreateModel request."""
    several = [request.get("Container"), request.get("PrimaryContainer"), *(request.get("Containers") or ())]
    return next((each for each in several if each is not None), {})


def socket_folder(home: Path) -> Path:
    """Return the folder of the replica's socket, by a path short enough for a socket's address.

    It lies in the host's `tmp`, which the program may write; where that path is too long, a link leads to it.
    """
    folder = home / "tmp/.replica"
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(folder / SOCKET)) <= LONGEST_ADDRESS:
        return folder
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    links = Settings.load().socket_dir
    if len(os.fsencode(links / digest / SOCKET)) > LONGEST_ADDRESS:
        links = Path(tempfile.gettempdir()) / f"clary-{os.geteuid()}"
    links.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = links / digest
    if not link.is_symlink():
        link.symlink_to(folder)
    return link
