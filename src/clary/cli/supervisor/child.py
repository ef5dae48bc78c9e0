"""One supervised child: started, probed, restarted when it ends, stopped."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from clary.cli.supervisor import identity, logfile
from clary.cli.supervisor.process import Event, Phase, Process
from clary.kernel.errors import SetupError

PR_SET_PDEATHSIG = 1
FIRST_PROBE_S, LATER_PROBE_S, HEALTH_S = 0.01, 0.1, 5.0
N_LAST_LINES = 5
N_TOLD = 4
"""So many ends in a row are told one by one; a process that goes on failing is told of once."""
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child:
    """Keeps one process alive until it is stopped."""

    def __init__(
        self, process: Process, *, logs: Path, publish: Callable[[Event], None], changed: Callable[[], None]
    ) -> None:
        self.process = process
        self.log = logs / f"{process.name}.log"
        self.phase = Phase.STOPPED
        self.pid = 0
        self.since = ""
        """Start time, as `identity.started` has it."""
        self.started_at: datetime | None = None
        self.n_restarts = 0
        self.n_failures = 0
        """Ends in a row without a while of health between."""
        self.last_end = ""
        self.last_lines: list[str] = []
        """What it said before its last end."""
        self.unhealthy = ""
        """Why the probe fails now; empty when it does not."""
        self.is_ready = asyncio.Event()
        self._publish, self._changed = publish, changed
        self._stopping = asyncio.Event()
        self._running: subprocess.Popen[bytes] | None = None

    async def supervise(self) -> None:
        """Start the process, again whenever it ends, until `stop`."""
        while not self._stopping.is_set():
            began = time.monotonic()
            why = await self._live()
            if self._stopping.is_set():
                break
            healthy_s = time.monotonic() - began if self.is_ready.is_set() else 0.0
            self.is_ready.clear()
            self.n_failures = 1 if healthy_s >= self.process.restart.healthy_s else self.n_failures + 1
            self.n_restarts += 1
            delay_s = self.process.restart.delay_s(self.n_failures)
            self.last_end = why
            self._move(Phase.WAITING)
            if self.n_failures == N_TOLD:
                why += f" and keeps failing ({self.log})"
            if self.n_failures <= N_TOLD:
                self._publish(Event(kind="ended", name=self.process.name, text=why, seconds=delay_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()
        self._move(Phase.STOPPED)

    async def stop(self) -> None:
        """Ask the process to end, make it end after its grace; returns when it is gone."""
        self._stopping.set()
        running = self._running
        if running is None:
            return
        self._move(Phase.STOPPING)
        for number, grace_s in ((signal.SIGTERM, self.process.grace_s), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):  # `wait_for` of Python 3.11 may swallow a cancellation
                    await _ended(running)
                break

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        self._stopping.set()
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._running.pid, signal.SIGKILL)

    async def _live(self) -> str:
        """Run the process once; return how it ended."""
        began = time.monotonic()
        try:
            logfile.rotate(self.log)
            running, offset = self._spawn()
        except (OSError, SetupError) as error:
            return f"could not be started: {error}"
        self._running, self.pid, self.since = running, running.pid, identity.started(running.pid)
        self.started_at = datetime.now(UTC)
        self._move(Phase.STARTING)
        self._publish(Event(kind="starting", name=self.process.name))
        probing = asyncio.create_task(self._probe(began))
        try:
            await _ended(running)
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
        code = running.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGKILL)  # what it started and left behind in its own group
        self._running, self.pid, self.unhealthy = None, 0, ""
        self.last_lines = logfile.last_lines(self.log, N_LAST_LINES, since=offset)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        command = self.process.command()
        parent = os.getpid()

        def bind_to_parent() -> None:
            if _libc is not None:
                _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:  # it died before the line above
                    os._exit(1)

        log = logfile.open_for_append(self.log)
        try:
            os.write(
                log, f"--- {self.process.name} starts at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode()
            )
            offset = os.fstat(log).st_size
            # One thread only in this process, so code between fork and exec is safe here.
            running = subprocess.Popen(  # noqa: S603 - the commands are the platform's own
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command.directory,
                env=dict(command.environment),
                umask=self.process.umask,
                pass_fds=command.keeps,
                process_group=0,  # Ctrl-C in the terminal reaches the supervisor alone, which stops in order
                preexec_fn=bind_to_parent,  # noqa: PLW1509
            )
        finally:
            os.close(log)
        return running, offset

    async def _probe(self, began: float) -> None:
        """Wait for the first answer, then ask now and then."""
        wait_s = FIRST_PROBE_S
        while self.process.ready is not None:
            self.unhealthy = await self._ask()
            if not self.unhealthy:
                break
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, LATER_PROBE_S)
        self.is_ready.set()
        self._move(Phase.READY)
        if self.n_failures < N_TOLD:
            self._publish(Event(kind="ready", name=self.process.name, seconds=time.monotonic() - began))
        while self.process.ready is not None:
            await asyncio.sleep(HEALTH_S)
            before, self.unhealthy = self.unhealthy, await self._ask()
            if before != self.unhealthy:
                self._changed()

    async def _ask(self) -> str:
        assert self.process.ready is not None
        try:
            return await self.process.ready()
        except Exception as error:  # a probe that fails must not end the supervision
            return f"{type(error).__name__}: {error}"

    def _move(self, phase: Phase) -> None:
        self.phase = phase
        self._changed()


async def _ended(running: subprocess.Popen[bytes]) -> None:
    """Return when the process has ended."""
    if running.poll() is not None:
        return
    try:
        descriptor = os.pidfd_open(running.pid)
    except (AttributeError, OSError):  # not Linux, or an old one
        while running.poll() is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
