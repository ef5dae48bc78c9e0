"""Training: data in, the program, model and output out.

Downloading ──▶ Training ──▶ Uploading ──▶ result
    │ stop          │ stop, time over: SIGTERM, grace, SIGKILL; what is there is published all the same
    ▼               │ failure: output.tar.gz only
  result ◀──────────┘
"""

import contextlib
import logging
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clary.compute.agent import failure, packages, programs, publish, remote
from clary.compute.agent.execute import Executor, objects_for
from clary.compute.agent.host import INSIDE, REASON_CHARS, Host
from clary.compute.agent.install import install
from clary.compute.agent.packages import Packages
from clary.compute.agent.reports import Reporter
from clary.compute.agent.staging import fetch_archive
from clary.compute.agent.sync import FolderSync
from clary.compute.agent.watch import Ending, Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.runners.base import Exit
from clary.kernel.errors import CustomerError
from clary.toolkit import beneath, channels, contract, requirements, script, versions
from clary.toolkit.channels import Channel, Share
from clary.toolkit.object_faults import ObjectsUnavailableError
from clary.toolkit.objectcache import ObjectCache
from clary.toolkit.objects import Objects
from clary.toolkit.pipe import Feeder, content

DEFAULT_RUNTIME_S = 86_400
"""Source: API reference, StoppingCondition."""
_WELL = Exit(code=0)
_TAKEN = frozenset(
    {
        "/",
        "/bin",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/opt",
        "/opt/ml",
        "/proc",
        "/sys",
        "/tmp",  # noqa: S108 - a name inside the sandbox
        "/usr",
        "/var",
    }
)
"""Folders that a program needs as they are."""

log = logging.getLogger(__name__)


def run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    """Train on this host."""
    return TrainingRun(host, watch, reporter).run()


class TrainingRun:
    """One training host, from its first download to its result."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter) -> None:
        self._host = host
        self._watch = watch
        self._request = host.spec.request
        self._executor = Executor(host, watch, reporter)
        self._objects: Objects | None = None
        self._inputs: dict[str, Any] = {}
        self._pipes: Objects | None = None
        self._feeders: list[Feeder] = []
        self._checkpoints: FolderSync | None = None
        self._binds: list[tuple[str, str]] = []

    def run(self) -> Result:
        """Return how it ended."""
        self._host.enter(RunPhase.DOWNLOADING)
        objects = self._objects = objects_for(self._host)
        self._pipes = objects.sibling()
        with self._executor.ahead():
            self._watch.during(lambda: self._stage(objects), objects.cancel.set)
            self._host.enter(RunPhase.TRAINING)
            job = programs.training(self._host, self._packages(), self._binds)
            with self._companions(objects):
                ending, pump = self._executor.to_end(job.program, limit_s=self._limit_s())
        has_failed = ending.outcome is None and ending.exit != _WELL
        reason = ""
        if has_failed:
            reason = failure.of_program(
                ending.exit,
                spec=self._host.spec,
                phase=RunPhase.TRAINING,
                written=beneath.read_text(self._host.ml, "output/failure", 4 * REASON_CHARS)[:REASON_CHARS],
                stderr=pump.tail,
                command=job.command,
            )
        self._raise_pipe_errors()
        return self._finish(objects, ending, reason)

    def _finish(self, objects: Objects, ending: Ending, reason: str) -> Result:
        """Publish what the outcome allows."""
        outcome = ending.outcome or (Outcome.FAILED if reason else Outcome.SUCCEEDED)
        phase = RunPhase.TRAINING if reason else RunPhase.UPLOADING
        members = {
            "exit_code": ending.exit.code,
            "signal": ending.exit.signal,
            "reason": reason,
            "inputs": self._inputs,
        }
        if not reason:
            self._host.enter(RunPhase.UPLOADING)
        artifacts = ""
        if outcome is not Outcome.INTERRUPTED:
            publisher = publish.Publisher(self._host, objects, lambda: self._watch.kill_at)
            try:
                artifacts = publisher.publish(with_model=not reason)
            except (CustomerError, ObjectsUnavailableError):
                if not reason:
                    raise
                log.exception("the output of the failed program could not be published")
        return self._host.result(outcome, phase=phase, artifacts=artifacts, **members)

    def _stage(self, objects: Objects) -> None:
        """Bring in everything the program finds below `/opt/ml`."""
        host, request = self._host, self._request
        specification = request.get("AlgorithmSpecification") or {}
        mode = specification.get("TrainingInputMode") or channels.FILE
        wanted = [Channel.from_request(each, mode) for each in request.get("InputDataConfig") or ()]
        hosts = host.spec.hosts
        contract.write(host.ml, request, wanted, hosts=hosts, host=host.name)
        groups = {
            group["instance_group_name"]: group["hosts"]
            for group in contract.instance_groups(request.get("ResourceConfig") or {}, hosts)
        }
        with ThreadPoolExecutor(1, "code") as beside:
            code = beside.submit(self._stage_code, objects)
            self._stage_channels(objects, wanted, groups)
            self._restore_checkpoints(objects)
            code.result()

    def _stage_code(self, objects: Objects) -> None:
        """Unpack the submitted source directory; a real image does so itself."""
        if self._host.spec.runtime.kind == "container":
            self._executor.bring_image(objects.cancel)
            return
        submitted = programs.hyperparameters(self._request).get("sagemaker_submit_directory")
        is_script = self._host.spec.runtime.kind != "builtin" and not programs.is_verbatim(self._request)
        if submitted and is_script:
            code = self._host.ml / "code"
            fetch_archive(objects, str(submitted), code, self._host.work, is_large=False)

    def _stage_channels(
        self, objects: Objects, wanted: Sequence[Channel], groups: Mapping[str, Sequence[str]]
    ) -> None:
        """Download the files of the channels and make the FIFOs."""
        host = self._host
        parts = channels.shares(wanted, objects, host.name, host.spec.hosts, groups)
        data = host.ml / "input/data"
        cache = ObjectCache(host.cache / "objects" / host.spec.account)
        self._inputs = versions.seen(parts)
        channels.stage(parts, objects, data, cache)
        self._feeders = [self._feeder(part, data) for part in parts if part.channel.is_pipe]

    def _feeder(self, part: Share, data: Path) -> Feeder:
        assert self._pipes is not None
        objects = self._pipes
        return Feeder(data, part.channel.name, lambda epoch: content(part, objects, epoch))

    def _restore_checkpoints(self, objects: Objects) -> None:
        inside = contract.checkpoint_path(self._request)
        if not inside:
            return
        folder = self._checkpoint_folder(inside)
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoints = FolderSync(objects, folder, self._request["CheckpointConfig"]["S3Uri"])
        self._checkpoints.restore()

    def _checkpoint_folder(self, inside: str) -> Path:
        """Return where the checkpoints lie outside; a path not below `/opt/ml` needs a mount of its own.

        Raises
        ------
        CustomerError
            `LocalPath` is not an absolute path, or it hides what the program needs.
        """
        path = posixpath.normpath(inside)
        if not path.startswith("/") or (
            path.count("/") < 2 and path in {"/", "/opt", "/usr", "/bin", "/lib", "/etc"}
        ):
            raise CustomerError(f'CheckpointConfig.LocalPath is "{inside}"; it must be a folder of its own.')
        if path.startswith(f"{INSIDE}/"):
            return self._host.ml / posixpath.relpath(path, INSIDE)
        folder = self._host.home / "tmp/.checkpoints"
        self._binds.append((str(folder), path))
        return folder

    def _packages(self) -> Packages:
        """Return the Python environment of the program, installed if need be."""
        host, request = self._host, self._request
        is_builtin = host.spec.runtime.kind == "builtin" and not programs.is_verbatim(request)
        if is_builtin or host.spec.runtime.kind == "container":
            return Packages(requirements.interpreter())
        python = packages.runtime()

        def installed(code: Path) -> Packages:
            return install(host, self._watch, self._executor, python, code)

        if programs.is_verbatim(request):
            if sdk := remote.wanted(request, python):
                return remote.stacked(host, python, sdk, installed)
            return packages.writable(host, python)
        found = installed(host.ml / "code")
        name = programs.entry_point(request)
        is_command = name and script.kind_of(host.ml / "code", name) is script.EntryPoint.COMMAND
        return packages.writable(host, python) if is_command and found.folder is None else found

    @contextlib.contextmanager
    def _companions(self, objects: Objects) -> Iterator[None]:
        """Feed pipes and copy checkpoints while the program runs; afterwards copy what is left."""
        intermediate = FolderSync(
            objects, self._host.ml / "output/intermediate", f"{publish.prefix(self._host)}/intermediate"
        )
        syncs = [sync for sync in (self._checkpoints, intermediate) if sync is not None]
        for feeder in self._feeders:
            feeder.start()
        for sync in syncs:
            sync.start()
        try:
            yield
        finally:
            if self._pipes is not None:
                self._pipes.cancel.set()
            for feeder in self._feeders:
                feeder.stop()
            for sync in syncs:
                sync.finish()

    def _raise_pipe_errors(self) -> None:
        """Fail where a channel ended early: every result is wrong then, a success above all."""
        for feeder in self._feeders:
            if feeder.error is not None:
                raise feeder.error

    def _limit_s(self) -> float:
        condition = self._request.get("StoppingCondition") or {}
        return float(condition.get("MaxRuntimeInSeconds") or DEFAULT_RUNTIME_S)
