"""Serving a model of several containers: one replica of several processes, kept alive together.

    Serial   [builtin, script, builtin] ═▶ [script] ═▶ …    the first is asked, each asks the next
    Direct   [container]   [container]   …                  each is asked for itself

In a row, built-in models share the process of the script beside them; two scripts never share one: their
modules, environments and `/opt/ml/model` are their own.
"""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clary.compute.agent import failure, utilisation
from clary.compute.agent.execute import objects_for
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.logs import Pump
from clary.compute.agent.packages import Packages
from clary.compute.agent.programmes import _bridged, serving
from clary.compute.agent.programmes.serving import FAILURE, SOCKET_FOLDER, Part, ServingRun
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import Watch
from clary.compute.base import Outcome, Result, RunPhase, Runtime
from clary.compute.containers import DIRECT, address_of, name_of
from clary.compute.runners.base import Exit, Running
from clary.toolkit import requirements, script
from clary.toolkit.objects import Objects

PIPELINE = "clary.serving.pipeline:main"
MODELS = f"{INSIDE}/containers"
"""Where a process finds the models of containers beside its own."""

log = logging.getLogger(__name__)


class Below(Reporter):
    """Reports as another does, with log lines in a stream below the host's own."""

    def __init__(self, reporter: Reporter, stream: str) -> None:
        self._reporter = reporter
        self._stream = stream

    def log(self, ms: int, text: str, stream: str = "") -> None:
        """Take a log line."""
        self._reporter.log(ms, text, stream or self._stream)

    def metric(self, name: str, ms: int, value: float) -> None:
        """Take a metric's value."""
        self._reporter.metric(name, ms, value)


def seat(host: Host, place: int) -> Host:
    """Return where container number `place` lives: the host, or one beside it that nobody else watches."""
    request = host.spec.request
    runtime = Runtime(**request["Runtimes"][place])
    container = request["Containers"][place]
    spec = replace(host.spec, runtime=runtime, request={**request, "Container": container})
    if place == 0:
        host.spec = spec
        return host
    home = host.home.with_name(f"{host.name}.{place + 1}")
    home.mkdir(exist_ok=True)
    beside = Host(home, spec)
    beside.work.mkdir(mode=0o700, exist_ok=True)
    return beside


class Container:
    """One container of the model."""

    def __init__(self, host: Host, place: int, watch: Watch, reporter: Reporter) -> None:
        document: Mapping[str, Any] = host.spec.request["Containers"][place]
        self.name = name_of(document, place) if len(host.spec.request["Containers"]) > 1 else ""
        self.host = seat(host, place)
        self.environment: Mapping[str, str] = document.get("Environment") or {}
        self.serving = ServingRun(self.host, watch, Below(reporter, self.name))
        self.packages = Packages(requirements.interpreter())

    @property
    def is_plain(self) -> bool:
        """Others may share its process: nothing is installed for it, and it runs in the warm one."""
        if self.serving.is_contained:
            return False
        is_own = script.shadows([self.host.ml / "model/code"])
        return self.packages.is_warm and not self.packages.folder and not is_own

    def stage(self, model_dir: str, *, is_owner: bool) -> dict[str, Any]:
        """Return the container as a stage of a pipeline's process."""
        described = self.serving.described() | {"container": self.name, "model_dir": model_dir}
        return described if is_owner else {**described, "environment": dict(self.environment)}


class Process:
    """One process of the replica: a container, or several in a row."""

    def __init__(self, owner: Container, part: Part | None, address: str) -> None:
        self.owner = owner
        self.address = address
        self.n_restarts = 0
        self._part = part
        self._stack = contextlib.ExitStack()
        self._pump: Pump | None = None
        self.running: Running | None = None
        self._begun = 0.0

    def start(self) -> None:
        """Start it, after whatever is left of its last life is gone."""
        self.close()
        Path(self.address).unlink(missing_ok=True)
        run = self.owner.serving
        program = run.program(self.owner.packages, self._part)
        self._begun = time.monotonic()
        if run.is_contained and self._part is not None:
            both = _bridged.running(run.executor, run.contained(), program)
        else:
            both = run.executor.running(program)
        self.running, self._pump = self._stack.enter_context(both)
        self.address = self.running.address or self.address

    def await_health(self) -> Exit | Outcome | None:
        """Wait for its first good answer; None when it came."""
        assert self.running is not None
        return self.owner.serving.await_health(self.running, self.address)

    @property
    def pump(self) -> Pump:
        """Its last lines."""
        assert self._pump is not None
        return self._pump

    @property
    def exit(self) -> Exit | None:
        """How it ended, where it has."""
        return self.running.wait(0) if self.running is not None else None

    def may_restart(self) -> bool:
        """Say whether it may have another life, and count it."""
        if time.monotonic() - self._begun > serving.STEADY_S:
            self.n_restarts = 0
        self.n_restarts += 1
        return self.n_restarts <= serving.RESTARTS

    def failed(self, exit_: Exit, n_restarts: int) -> Result:
        """Return the result of a replica that this process ended."""
        return self.owner.serving.failed(exit_, self.pump, n_restarts, of=f" {self.owner.name}")

    def close(self) -> None:
        """End it."""
        self._stack.close()


class ContainersRun:
    """One replica of several containers, from their models to its end."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter) -> None:
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._is_direct = host.spec.request.get("ExecutionMode") == DIRECT
        n = len(host.spec.request["Containers"])
        self._containers = [Container(host, place, watch, reporter) for place in range(n)]

    def run(self) -> Result:
        """Return how it ended."""
        self._host.enter(RunPhase.DOWNLOADING)
        objects = objects_for(self._host)
        self._watch.during(lambda: self._stage(objects), objects.cancel.set)
        self._host.enter(RunPhase.STARTING)
        for each in self._containers:
            each.packages = each.serving.packages()
        processes = processes_of(self._containers, is_direct=self._is_direct)
        try:
            return self._keep_up(processes)
        finally:
            for process in processes:
                process.close()

    def _stage(self, objects: Objects) -> None:
        for each in self._containers:
            each.serving.stage(objects)

    def _keep_up(self, processes: Sequence[Process]) -> Result:
        """Run the processes, and again those that end; return how the replica ended for good."""
        waiting = processes
        while True:
            for process in waiting:
                process.start()
            for process in waiting:
                exit_ = process.await_health()
                if isinstance(exit_, Outcome):
                    return self._host.result(exit_)
                if exit_ is not None:
                    return process.failed(exit_, 0)
            self._host.enter(RunPhase.SERVING, processes[0].address)
            running = [each.running for each in processes if each.running is not None]
            with utilisation.told(running, self._host.spec.size, self._reporter.metric):
                ended = self._until_one_ends(processes)
            if isinstance(ended, Outcome):
                return self._host.result(ended)
            exit_ = ended.exit
            assert exit_ is not None
            if not ended.may_restart():
                return ended.failed(exit_, serving.RESTARTS)
            log.warning("%s ended (%s), is started again", ended.owner.name, failure.of_exit(exit_))
            if not self._is_direct:
                self._host.enter(RunPhase.STARTING)  # a row with a gap answers nothing
            ended.owner.serving.rest(ended.n_restarts)
            waiting = [ended]

    def _until_one_ends(self, processes: Sequence[Process]) -> Process | Outcome:
        """Wait for the first process that ends; on a stop let all end, the first in the row first."""
        head, *others = processes

        def look() -> bool:
            for each in others:
                if each.exit is not None:
                    raise _EndedError(each)
            return False

        assert head.running is not None
        try:
            ending = self._watch.until_exit(head.running, between=look)
        except _EndedError as error:
            return error.process
        if ending.outcome is None:
            return head
        for each in others:
            if each.running is not None:
                self._watch.until_exit(each.running)
        return ending.outcome


class _EndedError(Exception):
    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process


@dataclass(frozen=True, kw_only=True)
class Batch:
    """How a row is asked by a transform job."""

    call: str
    """Of the first process, instead of `PIPELINE`."""
    arguments: Mapping[str, Any]
    """Of the first process, beside those of `PIPELINE`."""
    patience: Mapping[str, Any]
    """Of every process."""


def processes_of(
    containers: Sequence[Container], *, is_direct: bool = False, batch: Batch | None = None
) -> list[Process]:
    """Return the processes that containers become, the first first; their packages are there already."""
    groups = [[each] for each in containers] if is_direct else grouped(containers)
    owners = [next((each for each in group if each.serving.is_script), group[0]) for group in groups]
    folder = serving.socket_folder(owners[0].host.home)  # in a home that its process may write
    made = []
    for place, (group, owner) in enumerate(zip(groups, owners, strict=True)):
        arguments: dict[str, Any] = {"socket": _inside(place), "failure": f"{INSIDE}/{FAILURE}"}
        if is_direct:
            arguments |= owner.serving.described()
            part = Part(call=serving.REPLICA, arguments=arguments, sockets=folder)
        else:
            if batch is not None:
                arguments["patience"] = batch.patience
            arguments["following"] = _inside(place + 1) if place + 1 < len(groups) else ""
            part = _part(group, owner, arguments, folder, batch if place == 0 else None)
        made.append(Process(owner, part, address_of(str(folder / serving.SOCKET), place)))
    return made


def _inside(place: int) -> str:
    return address_of(f"{SOCKET_FOLDER}/{serving.SOCKET}", place)


def _part(
    group: Sequence[Container], owner: Container, arguments: dict[str, Any], folder: Path, batch: Batch | None
) -> Part:
    """Return one process of a row."""
    beside = {each.name: f"{MODELS}/{each.name}" for each in group if each is not owner}
    arguments["stages"] = [
        each.stage(beside.get(each.name, f"{INSIDE}/model"), is_owner=each is owner) for each in group
    ]
    if batch is not None:
        arguments |= batch.arguments
    return Part(
        call=batch.call if batch is not None else PIPELINE,
        arguments=arguments,
        sockets=folder,
        ro_binds=tuple(
            (str(each.host.ml / "model"), beside[each.name]) for each in group if each is not owner
        ),
    )


def grouped(containers: Sequence[Container]) -> list[list[Container]]:
    """Return a row of containers as those that share a process, at most one script among each."""
    groups: list[list[Container]] = []
    for each in containers:
        mates = groups[-1] if groups else []
        has_script = any(mate.serving.is_script for mate in mates)
        is_alike = each.is_plain and all(mate.is_plain for mate in mates)
        if mates and is_alike and not (has_script and each.serving.is_script):
            mates.append(each)
        else:
            groups.append([each])
    return groups
