"""Starting a host's program: its runner, its log lines, its metrics."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from clary.compute.agent import programs
from clary.compute.agent.host import Host
from clary.compute.agent.logs import Pump
from clary.compute.agent.reports import Reporter
from clary.compute.agent.scraping import MetricScraper
from clary.compute.agent.watch import Ending, Watch
from clary.compute.docker import pull, service
from clary.compute.docker.client import DockerError
from clary.compute.runners.base import Program, Runner, Running
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import CustomerError, SetupError
from clary.kernel.registry import member
from clary.kernel.settings import Settings
from clary.toolkit import registry
from clary.toolkit.metrics import Scraper
from clary.toolkit.objects import Objects

_opened: list[Objects] = []
"""Of the run of this process."""

log = logging.getLogger(__name__)


def runner_for(program: Program | None = None) -> Runner:
    """Return the runner that suits a program; without one, that of processes.

    Raises
    ------
    SetupError
        The image needs a container engine, and `CLARY_CONTAINERS` names none.
    """
    name = "container" if program is not None and program.image else "process"
    module = member("clary.compute.runners", name)
    runner: Runner = getattr(module, f"{name.title()}Runner")(Settings.load())
    return runner


def objects_for(host: Host) -> Objects:
    """Return the object store, with the run's own credentials."""
    where = host.spec.objects
    objects = Objects(
        endpoint=where.get("endpoint", ""),
        access_key=where["access_key"],
        secret_key=where["secret_key"],
        session_token=where.get("session_token", ""),
        region=where.get("region") or host.spec.region,
    )
    _opened.append(objects)
    return objects


def hand_back() -> None:
    """Leave the object store's client to the next run of this process."""
    while _opened:
        _opened.pop().hand_back()


class Executor:
    """Runs programs as one host, and ships what they print: to the host's log stream, or one below it."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter, *, stream: str = "") -> None:
        self._stream = stream
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._ahead: Runner | None = None
        self._scraper = MetricScraper(_definitions(host), reporter.metric, self._say)

    def bring_image(self, cancel: threading.Event) -> None:
        """Have the run's image in the container engine; how that goes is in the host's log.

        Raises
        ------
        CustomerError
            It cannot be had.
        SetupError
            The engine does not answer.
        """
        settings, uri = Settings.load(), self._host.spec.runtime.name
        if not service.is_on(settings):
            raise CustomerError(
                f"The image {uri} is none that Clary serves itself, and no container engine is set up: "
                "CLARY_CONTAINERS=podman or docker does so."
            )
        try:
            name = programs.image_of(self._host)
            is_open = pull.is_local_open(settings.local_images, self._host.spec.account)
            docker, source = service.connect(settings), self._source(uri)
            pull.ensure(docker, uri, name, source, self._say, cancel, is_local_open=is_open)
        except DockerError as error:
            raise SetupError(f"no container engine: {error}") from error

    def _source(self, uri: str) -> pull.Source:
        """Return where an image comes from: images of the run's account, from Clary's own registry."""
        spec = self._host.spec
        endpoint = urlsplit(spec.objects.get("endpoint", ""))
        found = pull.own(uri, spec.account, endpoint.netloc, Settings.load().registry)
        if found is None:
            return pull.Source(reference=uri)
        reference, region = found
        return pull.Source(
            reference=reference,
            user=registry.USER,
            password=registry.password(spec.objects, region or spec.region),
            is_plain=endpoint.scheme == "http",
            lock=self._host.cache / "pull.lock",
        )

    @contextmanager
    def ahead(self, binds: tuple[tuple[str, str], ...] = ()) -> Iterator[None]:
        """Prepare for the block's program, which has these binds, while it still brings in the data."""
        if self._host.spec.runtime.kind == "container":
            yield
            return
        self._ahead = self._ahead or runner_for()
        self._ahead.prepare(self._host.home, self._host.spec, self._host.name, binds)
        try:
            yield
        finally:
            self._ahead.withdraw()

    @contextmanager
    def running(self, program: Program) -> Iterator[tuple[Running, Pump]]:
        """Start a program; at the end of the block nothing of it is left and all its lines are read."""
        runner = self._ahead
        if runner is None or program.image:
            runner = runner_for(program)
        self._scraper.begin()
        pump = Pump(self._line)
        running: Running | None = None
        try:
            running = runner.start(
                self._host.home,
                self._host.spec,
                self._host.name,
                program,
                stdout=pump.stdout,
                stderr=pump.stderr,
            )
            pump.close_own()
            yield running, pump
        finally:
            if running is not None:
                running.close()
            self._scraper.end()
            pump.finish()
            self._scraper.finish()

    def to_end(self, program: Program, *, limit_s: float = float("inf")) -> tuple[Ending, Pump]:
        """Run a program to its end, or to that of its time."""
        with self.running(program) as (running, pump):
            ending = self._watch.until_exit(running, limit_s=limit_s, between=self._scraper.drain)
        return ending, pump

    def _line(self, ms: int, text: str) -> None:
        self._reporter.log(ms, text, self._stream)
        self._scraper.put(ms, text)

    def _say(self, text: str) -> None:
        self._reporter.log(epoch_ms(), text, self._stream)


def _definitions(host: Host) -> list[dict[str, str]]:
    """Return the metrics to look for, those with a wrong expression left out."""
    definitions = (host.spec.request.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or []
    good = []
    for each in definitions:
        try:
            Scraper([each])
        except ValueError as error:
            log.warning("%s", error)
        else:
            good.append(each)
    return good
