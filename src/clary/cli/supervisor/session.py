"""One life of the platform on a data folder: checks, lock, start, wait, stop.

1. Checks that need no lock: address, data folder.
2. The lock; what an earlier life left running is ended.
3. Disk, port, object store's program.
4. All processes start; `supervisor.json` follows them.
5. SIGINT, SIGTERM or SIGHUP: they stop in order. A second signal kills them.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from clary import __version__
from clary.cli import preflight
from clary.cli.supervisor import identity, logfile, processes, state
from clary.cli.supervisor.child import Child
from clary.cli.supervisor.process import Event, Process
from clary.cli.supervisor.state import ProcessState, Running
from clary.cli.supervisor.supervisor import Supervisor
from clary.gateway import objects
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

READY_WITHIN_S = 90.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOG = "clary.log"
"""The supervisor's own, among the logs."""
SAGEMAKER_CONFIG = "sagemaker-config.yaml"
TELEMETRY_OFF = """\
# Read by the SageMaker SDK under `clary run` and `clary env`: it sends no telemetry.
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


class Session:
    """Runs the platform until it is asked to stop.

    Parameters
    ----------
    settings : Settings
        Port 0 takes a free one.
    publish : callable
        Told every `Event`.
    platform : callable
        Returns the processes; tests give toys.
    """

    def __init__(
        self,
        settings: Settings,
        publish: Callable[[Event], None],
        *,
        platform: Callable[[Settings], Sequence[Process]] = processes.platform,
    ) -> None:
        self.settings = settings
        self._listener, self._platform = publish, platform
        self._stop = asyncio.Event()
        self._supervisor: Supervisor | None = None
        self._running: Running | None = None

    async def run(self) -> None:
        """Run until a signal comes.

        Raises
        ------
        SetupError
            It cannot start, or did not become ready; the text says why.
        """
        preflight.check_host(self.settings)
        preflight.check_data_dir(self.settings)
        with state.hold_lock(self.settings.data_dir):
            end_leftovers(self.settings)
            await self._check()
            logfile.rotate(logfile.made(self.settings.data_dir / "logs" / LOG))
            self._running = self._describe()
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                loop.add_signal_handler(number, self.stop)
            try:
                await self._serve()
            finally:
                for number in SIGNALS:
                    loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Stop in order; called again, kill."""
        if self._stop.is_set() and self._supervisor is not None:
            self._supervisor.kill()
        self._stop.set()

    def _publish(self, event: Event) -> None:
        """Tell the listener, and the log for good."""
        told = " ".join(each for each in (event.kind, event.name, event.text) if each)
        with contextlib.suppress(OSError), (self.settings.data_dir / "logs" / LOG).open("a") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {told}\n")
        self._listener(event)

    async def _check(self) -> None:
        settings = self.settings
        preflight.check_disk(settings)
        if settings.port == 0:
            settings = self.settings = dataclasses.replace(settings, port=preflight.free_port(settings.host))
        preflight.check_port(settings)
        if objects.is_embedded(settings):
            objects.find_weed(settings)
            objects.set_up(settings)
        elif why := await objects.trouble(objects.load(settings), timeout_s=10.0):
            raise SetupError(f"the S3 of CLARY_OBJECTS_URL does not work: {why}")

    async def _serve(self) -> None:
        self._supervisor = supervisor = Supervisor(
            self._platform(self.settings),
            logs=self.settings.data_dir / "logs",
            publish=self._publish,
            changed=self._record,
        )
        supervisor.start()
        becoming_ready = asyncio.create_task(supervisor.ready(READY_WITHIN_S))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([becoming_ready, stopping], return_when=asyncio.FIRST_COMPLETED)
            if becoming_ready.done():
                self._is_ready(becoming_ready.result())
                await stopping
        finally:
            becoming_ready.cancel()
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError, SetupError):
                await becoming_ready
            await supervisor.stop()

    def _is_ready(self, seconds: float) -> None:
        assert self._running is not None
        assert self._supervisor is not None
        self._running = dataclasses.replace(self._running, is_ready=True)
        self._record(self._supervisor.children)  # first: who hears of it may look at once
        self._publish(Event(kind="up", seconds=seconds))

    def _describe(self) -> Running:
        (self.settings.data_dir / SAGEMAKER_CONFIG).write_text(TELEMETRY_OFF)
        return Running(
            pid=os.getpid(),
            since=identity.started(os.getpid()),
            url=self.settings.url,
            region=self.settings.region,
            data_dir=str(self.settings.data_dir),
            version=__version__,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            ca_bundle=str(_ca_bundle(self.settings)),
        )

    def _record(self, children: Sequence[Child]) -> None:
        assert self._running is not None
        self._running = dataclasses.replace(self._running, processes=[_state_of(each) for each in children])
        with contextlib.suppress(OSError):  # a full disk must not stop what runs
            state.write(self.settings.data_dir, self._running)


def end_leftovers(settings: Settings) -> None:
    """End what an earlier life left running, where the death of a parent has not ended its children (yet)."""
    earlier = state.read(settings.data_dir)
    for each in reversed(earlier.processes if earlier else []):
        identity.end(each.pid, each.since, grace_s=2.0)


def _ca_bundle(settings: Settings) -> Path:
    from clary.gateway import certificates  # noqa: PLC0415 - loads OpenSSL, which only a start needs

    return certificates.ensure_ca(settings.data_dir).bundle


def _state_of(child: Child) -> ProcessState:
    return ProcessState(
        name=child.process.name,
        phase=child.phase.value,
        is_required=child.process.is_required,
        pid=child.pid,
        since=child.since,
        started_at=child.started_at.isoformat(timespec="seconds") if child.started_at else "",
        n_restarts=child.n_restarts,
        n_failures=child.n_failures,
        last_end=child.last_end,
        last_lines=child.last_lines,
        unhealthy=child.unhealthy,
        log=str(child.log),
    )
