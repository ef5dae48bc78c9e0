"""A small process that ends a node's agents when their keeper is gone, or cannot reach the cluster's head.

    python -I -S guard.py <runs folder> <mark> <lease_s> <pid of the raylet> <pid file of the zygote>

stdin: moments of renewal, a line each. It ends the agents of hosts whose file `keeper` holds the mark; with
the raylet it ends the zygote too. It imports nothing of Clary: it is there in 15 ms, and survives what kills
actors.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

SETTLE_S = 3.0
"""For agents that are only just being started."""


def stamped(path: Path) -> int | None:
    """Return the pid that a file names with its start time, if that very process lives."""
    try:
        pid, _, started = path.read_text().partition(" ")
        return int(pid) if _started(int(pid)) == started.strip() else None
    except (OSError, ValueError):
        return None


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else rest[18]


def kill(pid: int | None) -> None:
    """Kill a process, if there is one."""
    if pid is not None:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return


def end_host(home: Path) -> None:
    """Kill a host's agent, and its program where that has outlived it."""
    if not (home / "result.json").exists():  # else the agent may be another host's by now
        kill(stamped(home / "pid"))
    kill(stamped(home / "program"))


def sweep(runs: Path, mark: str) -> None:
    """Kill every agent of the keeper's."""
    for each in runs.glob("*/hosts/*/keeper"):
        try:
            is_its = each.read_text() == mark
        except OSError:
            continue
        if is_its:
            end_host(each.parent)


def watch(runs: Path, mark: str, lease_s: float) -> None:
    """Return when the keeper is gone; end its agents whenever its lease is over."""
    deadline = time.monotonic() + lease_s
    pending = b""
    while True:
        if select.select([0], [], [], max(0.05, deadline - time.monotonic()))[0]:
            said = os.read(0, 4096)
            if not said:
                return
            *lines, pending = (pending + said).split(b"\n")
            if lines:
                deadline = max(deadline, float(lines[-1]) + lease_s)
        if time.monotonic() > deadline:
            sweep(runs, mark)


def main(runs: Path, mark: str, lease_s: float, raylet: int, zygote: Path) -> None:
    """Guard until the keeper is gone, and then clear up."""
    raylet_started = _started(raylet)
    watch(runs, mark, lease_s)
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        sweep(runs, mark)
        time.sleep(0.1)
    if _started(raylet) != raylet_started:
        kill(stamped(zygote))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
