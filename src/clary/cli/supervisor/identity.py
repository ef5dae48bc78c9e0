"""Processes by pid and start time, so that a reused pid is never taken for an old process."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

IS_LINUX = sys.platform == "linux"


def started(pid: int) -> str:
    """Return a text that tells this life of `pid` from any other; empty when there is no such process."""
    try:
        if IS_LINUX:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return "" if fields[0] in {"Z", "X"} else fields[19]
        state, _, since = _ps("stat=,lstart=", pid).partition(" ")
        return "" if state.startswith("Z") else since.strip()
    except (OSError, IndexError):
        return ""


def is_alive(pid: int, since: str) -> bool:
    """Say whether the process `pid` that started at `since` runs."""
    return bool(since) and started(pid) == since


def memory_bytes(pid: int) -> int:
    """Return the resident memory of `pid`; 0 when it is gone."""
    try:
        if IS_LINUX:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return int(_ps("rss=", pid) or 0) * 1024
    except (OSError, IndexError, ValueError):
        return 0


def end(pid: int, since: str, *, grace_s: float) -> bool:
    """SIGTERM, and SIGKILL after `grace_s`; return whether there was such a process."""
    if not is_alive(pid, since):
        return False
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        if wait(pid, since, timeout_s=wait_s):
            return True
    return True


def wait(pid: int, since: str, *, timeout_s: float) -> bool:
    """Wait until the process is gone; return whether it is."""
    deadline = time.monotonic() + timeout_s
    while is_alive(pid, since):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        _pause(pid, min(left_s, 0.5))
    return True


def _ps(columns: str, pid: int) -> str:
    """Ask `ps`, where there is no /proc."""
    argv = ["/bin/ps", "-o", columns, "-p", str(pid)]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - fixed


def _pause(pid: int, most_s: float) -> None:
    """Sleep until `pid` ends, at most `most_s`."""
    if not IS_LINUX:
        time.sleep(min(most_s, 0.05))
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        time.sleep(min(most_s, 0.05))
        return
    try:
        select.select([descriptor], [], [], most_s)
    finally:
        os.close(descriptor)
