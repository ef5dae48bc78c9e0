"""The supervisor: a list of processes, all started at once, stopped one after another."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clary.cli.supervisor import logfile
from clary.cli.supervisor.child import Child
from clary.cli.supervisor.process import Event, Process
from clary.kernel.errors import SetupError

ROTATE_EVERY_S = 5.0
MAX_FAILURES_AT_START = 3
LOOK_EVERY_S = 0.05


class Supervisor:
    """Keeps every process of a list alive.

    Parameters
    ----------
    processes : sequence of Process
        Started all at once; stopped in reverse order, each before the next.
    logs : Path
        Folder of the log files, `<name>.log`.
    publish : callable
        Told every `Event`.
    changed : callable
        Told the children whenever one of them changed.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        logs: Path,
        publish: Callable[[Event], None],
        changed: Callable[[Sequence[Child]], None],
    ) -> None:
        self.children = [
            Child(each, logs=logs, publish=publish, changed=lambda: changed(self.children))
            for each in processes
        ]
        self._publish = publish
        self._tasks: list[asyncio.Task[None]] = []
        self._began = 0.0

    def start(self) -> None:
        """Start everything; returns at once."""
        self._began = time.monotonic()
        self._tasks = [asyncio.create_task(each.supervise()) for each in self.children]
        self._tasks.append(asyncio.create_task(self._rotate()))

    async def ready(self, timeout_s: float) -> float:
        """Wait until every required process is ready; return the seconds since the start.

        Raises
        ------
        SetupError
            One of them keeps ending, or `timeout_s` passed; the text has its last lines.
        """
        required = [each for each in self.children if each.process.is_required]
        while late := [each for each in required if not each.is_ready.is_set()]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await late[0].is_ready.wait()
            for each in required:
                if each.n_failures >= MAX_FAILURES_AT_START:
                    raise SetupError(
                        f"{each.process.name} {each.last_end}, {each.n_failures} times{_told(each)}"
                    )
            if time.monotonic() - self._began > timeout_s:
                name, why = late[0].process.name, late[0].unhealthy
                why = f": {why}" if why else ""
                raise SetupError(f"{name} was not ready within {timeout_s:g} s{why}{_told(late[0])}")
        return time.monotonic() - self._began

    async def stop(self) -> None:
        """Stop every process, the last of the list first."""
        for each in reversed(self.children):
            self._publish(Event(kind="stopping", name=each.process.name))
            await each.stop()
        self._tasks[-1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._publish(Event(kind="stopped"))

    def kill(self) -> None:
        """SIGKILL to all, for those who will not wait."""
        for each in self.children:
            each.kill()

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_EVERY_S)
            for each in self.children:
                with contextlib.suppress(OSError):  # a full disk must not stop what runs
                    logfile.rotate(each.log)


def _told(child: Child) -> str:
    """Return the last lines of a child for an error, and where the rest is."""
    lines = child.last_lines or logfile.last_lines(child.log, 5)
    return "".join(f"\n    {line}" for line in lines) + f"\n  its log: {child.log}"
