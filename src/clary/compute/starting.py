"""Starting the agent of a host: forked from a zygote where one listens, else in an interpreter of its own."""

import contextlib
import os
import sys
from collections.abc import Sequence

from clary.compute import linux, zygote
from clary.compute.base import RESIDENT, RunSpec
from clary.compute.run import Run
from clary.kernel.settings import Settings

AGENT = (sys.executable, "-P", "-m", "clary.compute.agent")
"""Command of an agent, without the host's folder."""


def start_agent(
    settings: Settings, run: Run, host: str, agent: Sequence[str] = AGENT, *, uses_zygote: bool = True
) -> tuple[int, bool]:
    """Start the agent of one host; return its pid, and whether it is a child of this process.

    Raises
    ------
    OSError
        It cannot be started.
    """
    home = run.home(host)
    pid: int | None = None
    if uses_zygote:
        for runtime in dict.fromkeys((run.spec.runtime.zygote, "base")):
            pid = pid or zygote.fork_agent(settings, home, runtime, account=_sharing(run.spec))
    is_child = pid is None
    if pid is None:
        environment = zygote.environment(settings)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            agent[0],
            [*agent, str(home)],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(home / "agent.log"), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    with contextlib.suppress(FileExistsError), (home / "pid").open("x") as file:  # an agent's own wins
        file.write(linux.stamp(pid))
    return pid, is_child


def _sharing(spec: RunSpec) -> str:
    """Return the account whose agents may take the run one after another; empty for those that live long."""
    return "" if spec.kind in RESIDENT else spec.account
