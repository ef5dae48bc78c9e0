"""Starting Clary: in this process, or detached in one of its own."""

import asyncio
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys

from rich.console import Console

from clary.cli import agents, display, preflight
from clary.cli.display import Display
from clary.cli.supervisor import identity, logfile, processes, state
from clary.cli.supervisor.process import Event
from clary.cli.supervisor.session import Session
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

TICK_S = 0.1
SUPERVISOR = (sys.executable, "-P", "-m", "clary.cli.supervisor")


def foreground(settings: Settings) -> None:
    """Run the platform here until Ctrl-C or SIGTERM.

    Raises
    ------
    SetupError
        It cannot start; the text says why.
    """
    console = Console(soft_wrap=True)
    shown = Display(console)

    def listen(event: Event) -> None:
        shown(event)
        if event.kind == "up":
            logs = str(session.settings.data_dir / "logs")
            display.welcome(
                console, url=session.settings.url, seconds=event.seconds, log=logs, is_detached=False
            )

    session = Session(settings, listen)

    async def run() -> None:
        drawing = asyncio.create_task(draw())
        try:
            await session.run()
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing

    async def draw() -> None:
        while True:
            shown.tick()
            await asyncio.sleep(TICK_S)

    with shown:
        asyncio.run(run())
    console.print("Clary has stopped.")
    if left := agents.alive(session.settings):
        console.print(f"{agents.going_on(left)}; the next `clary up` takes over.", highlight=False)


def detached(settings: Settings, *, to_stderr: bool = False) -> None:
    """Start the platform in a session of its own; return when it is ready.

    Raises
    ------
    SetupError
        It cannot start; the text says why.
    """
    console = Console(stderr=to_stderr, soft_wrap=True)
    preflight.check_host(settings)
    preflight.check_data_dir(settings)
    log = settings.data_dir / "logs" / "clary.log"
    logfile.rotate(log)
    reading, writing = os.pipe()
    output = logfile.open_for_append(log)
    child = subprocess.Popen(  # noqa: S603 - this program again
        [*SUPERVISOR, str(writing)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=processes.environment(settings),
        cwd=settings.data_dir,
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    os.close(output)
    shown = Display(console)
    try:
        with shown:
            last = _follow(reading, shown)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise
    if last is None or last.kind != "up":
        child.wait()
        said = "\n    ".join(logfile.last_lines(log, 5))
        raise SetupError(
            last.text if last else f"the supervisor ended before it was ready:\n    {said}\n  its log: {log}"
        )
    running = state.read(settings.data_dir)
    url = running.url if running else settings.url
    display.welcome(console, url=url, seconds=last.seconds, log=str(log.parent), is_detached=True)
    child.returncode = 0  # it goes on without us: not a child that was forgotten


def _follow(reading: int, shown: Display) -> Event | None:
    """Show the events from a pipe until one says how the start ended; None when the pipe closes before."""
    pending = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(TICK_S):
                shown.tick()
                continue
            piece = pipe.read(65_536)
            if not piece:
                return None
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                event = Event(**json.loads(line))
                if event.kind == "failed":
                    return event
                shown(event)
                if event.kind == "up":
                    return event


def stop(settings: Settings, *, timeout_s: float = 60.0) -> bool:
    """Stop the Clary of a data folder, in order; return whether one ran.

    Raises
    ------
    SetupError
        It did not stop in time, or is another user's.
    """
    if not state.is_locked(settings.data_dir):
        return False
    running = state.read(settings.data_dir)
    if running is None or not identity.is_alive(running.pid, running.since):
        raise SetupError(f"Clary is only just starting on {settings.data_dir}; try again in a moment")
    try:
        os.kill(running.pid, signal.SIGTERM)
    except PermissionError:
        raise SetupError(f"Clary (pid {running.pid}) belongs to another user; stop it as that user") from None
    if not identity.wait(running.pid, running.since, timeout_s=timeout_s):
        raise SetupError(
            f"Clary (pid {running.pid}) did not stop within {timeout_s:g} s; see {settings.data_dir}/logs"
        )
    return True
