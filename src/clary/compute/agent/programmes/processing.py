"""Processing: inputs to their paths, the program, outputs to S3.

Downloading ──▶ Processing ──▶ Uploading ──▶ result
    │ stop          │ stop, time over: SIGTERM, grace, SIGKILL
    ▼               │ failure: only what goes up continuously
  result ◀──────────┘
"""

import contextlib
import logging
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from clary.compute.agent import failure, processors, sources
from clary.compute.agent.execute import Executor, objects_for
from clary.compute.agent.host import INSIDE, REASON_CHARS, Host
from clary.compute.agent.reports import Reporter
from clary.compute.agent.sync import FolderSync
from clary.compute.agent.watch import Ending, Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.runners.base import Exit
from clary.toolkit import beneath, channels, processing
from clary.toolkit.objects import Objects
from clary.toolkit.pipe import Feeder, content
from clary.toolkit.processing import Output

DEFAULT_RUNTIME_S = 86_400
"""Source: API reference, ProcessingStoppingCondition."""
MESSAGE_CHARS = 1024
"""Longest `ExitMessage`. Source: shape ExitMessage."""
_WELL = Exit(code=0)

log = logging.getLogger(__name__)


def run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    """Process on this host."""
    return ProcessingRun(host, watch, reporter).run()


class ProcessingRun:
    """One processing host, from its first download to its result."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter) -> None:
        self._host = host
        self._watch = watch
        self._request = host.spec.request
        self._executor = Executor(host, watch, reporter)
        self._inputs = processing.inputs(self._request)
        self._outputs = processing.outputs(self._request)
        self._feeders: list[Feeder] = []
        self._binds: dict[str, str] = {}
        """Paths outside of what does not lie below `/opt/ml`, by path inside."""

    def run(self) -> Result:
        """Return how it ended."""
        host = self._host
        host.enter(RunPhase.DOWNLOADING)
        objects = objects_for(host)
        pipes = objects.sibling()
        self._watch.during(lambda: self._stage(objects, pipes), objects.cancel.set)
        host.enter(RunPhase.PROCESSING)
        overlay = sources.packages_of(host, self._watch, self._executor)
        program = processors.program(host, overlay, tuple((out, into) for into, out in self._binds.items()))
        with self._companions(objects, pipes):
            ending, pump = self._executor.to_end(program, limit_s=self._limit_s())
        reason = ""
        if ending.outcome is None and ending.exit != _WELL:
            reason = failure.of_program(
                ending.exit,
                spec=host.spec,
                phase=RunPhase.PROCESSING,
                written=beneath.read_text(host.ml, "output/failure", 4 * REASON_CHARS)[:REASON_CHARS],
                stderr=pump.tail,
            )
        for feeder in self._feeders:
            if feeder.error is not None:
                raise feeder.error  # the program saw the end of its data too early
        return self._finish(objects, ending, reason)

    def _finish(self, objects: Objects, ending: Ending, reason: str) -> Result:
        """Take to S3 what the outcome allows: whole outputs only of a program that did all its work."""
        host = self._host
        outcome = ending.outcome or (Outcome.FAILED if reason else Outcome.SUCCEEDED)
        if outcome is Outcome.SUCCEEDED:
            host.enter(RunPhase.UPLOADING)
            self._publish(objects)
        message = beneath.read_text(host.ml, "output/message", 4 * MESSAGE_CHARS)[:MESSAGE_CHARS]
        return host.result(
            outcome,
            phase=RunPhase.PROCESSING if reason else RunPhase.UPLOADING,
            exit_code=ending.exit.code,
            signal=ending.exit.signal,
            reason=reason,
            message=message,
        )

    def _stage(self, objects: Objects, pipes: Objects) -> None:
        """Bring in everything the program finds: configuration, inputs, the folders of its outputs."""
        host, request = self._host, self._request
        if host.spec.runtime.kind == "container":
            self._executor.bring_image(objects.cancel)
        cluster = request["ProcessingResources"]["ClusterConfig"]
        resources = {
            "InstanceType": host.spec.instance_type,
            "InstanceCount": cluster.get("InstanceCount", 1),
        }
        hosts = host.spec.hosts
        processing.write(
            host.ml, request, arn=host.spec.arn, resources=resources, hosts=hosts, host=host.name
        )
        for output in self._outputs:
            self._outside(output.path).mkdir(parents=True, exist_ok=True)
        paths = {each.channel.name: each.path for each in self._inputs}
        parts = channels.shares([each.channel for each in self._inputs], objects, host.name, hosts)
        files = [each for each in parts if not each.channel.is_pipe]
        processing.stage([(each, self._outside(paths[each.channel.name])) for each in files], objects)
        for part in parts:
            if part.channel.is_pipe:
                self._feeders.append(self._feeder(part, pipes, paths[part.channel.name]))

    def _feeder(self, part: channels.Share, pipes: Objects, path: str) -> Feeder:
        """Return what fills the FIFOs `<LocalPath>_<epoch>` of an input."""
        folder = self._outside(posixpath.dirname(path))
        folder.mkdir(parents=True, exist_ok=True)
        return Feeder(folder, posixpath.basename(path), lambda epoch: content(part, pipes, epoch))

    def _outside(self, path: str) -> Path:
        """Return where a path of the program lies outside; elsewhere than in `/opt/ml` it gets a mount."""
        if path.startswith(f"{INSIDE}/"):
            return self._host.ml / posixpath.relpath(path, INSIDE)
        for inside, outside in self._binds.items():
            if path == inside or path.startswith(f"{inside}/"):
                return Path(outside) / posixpath.relpath(path, inside)
        folder = self._host.home / "tmp/.processing" / str(len(self._binds))
        self._binds[path] = str(folder)
        return folder

    @contextlib.contextmanager
    def _companions(self, objects: Objects, pipes: Objects) -> Iterator[None]:
        """Feed pipes and copy continuous outputs while the program runs; afterwards copy what is left."""
        syncs = [self._sync(objects, each) for each in self._outputs if each.is_continuous]
        starts = [each.start for each in self._feeders] + [each.start for each in syncs]
        for start in starts:
            start()
        try:
            yield
        finally:
            pipes.cancel.set()
            for feeder in self._feeders:
                feeder.stop()
            for sync in syncs:
                sync.finish()

    def _sync(self, objects: Objects, output: Output) -> FolderSync:
        return FolderSync(objects, self._outside(output.path), output.uri)

    def _publish(self, objects: Objects) -> None:
        """Upload every output that waits for the end of the job, many files at once."""
        for_the_end = [each for each in self._outputs if not each.is_continuous]
        roots = [(each.uri, self._outside(each.path)) for each in for_the_end]
        objects.upload_many(
            (f"{uri}/{found.name}", _opener(root, found.name))
            for uri, root in roots
            for found in beneath.walk(root)
            if found.is_file
        )

    def _limit_s(self) -> float:
        condition = self._request.get("StoppingCondition") or {}
        return float(condition.get("MaxRuntimeInSeconds") or DEFAULT_RUNTIME_S)


def _opener(root: Path, name: str) -> Callable[[], BinaryIO]:
    return lambda: beneath.open_file(root, name)
