"""How much of its host a replica uses: told as metrics while it serves."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clary.compute.base import Size
from clary.compute.runners.base import Running
from clary.kernel.clock import epoch_ms

FIRST_S, EVERY_S = 1.0, 15.0
CPU, MEMORY = "CPUUtilization", "MemoryUtilization"
"""Source: developer guide, "Monitor Amazon SageMaker AI with Amazon CloudWatch", instance metrics."""

Tell = Callable[[str, int, float], None]
"""Takes a metric's name, its time in milliseconds and its value."""


@contextmanager
def told(running: Sequence[Running], size: Size, tell: Tell) -> Iterator[None]:
    """Tell what the programs of a host use of it while the body runs."""
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(running, size, tell, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(running: Sequence[Running], size: Size, tell: Tell, over: threading.Event) -> None:
    """Tell CPU as a sum over cores (two busy ones are 200), memory as a share of what the host may use."""
    seen, since = _cpu_s(running), time.monotonic()
    pause_s = FIRST_S
    while not over.wait(pause_s):
        used, now = _cpu_s(running), time.monotonic()
        ms = epoch_ms()
        if used is not None and seen is not None and used >= seen:
            tell(CPU, ms, 100.0 * (used - seen) / (now - since))
        seen, since = used, now
        memory = sum(each.memory_bytes() for each in running)
        if memory:
            tell(MEMORY, ms, 100.0 * memory / (size.memory_mib << 20))
        pause_s = EVERY_S


def _cpu_s(running: Sequence[Running]) -> float | None:
    found = [seconds for each in running if (seconds := cpu_s(each.pid)) is not None]
    return sum(found) if found else None


def cpu_s(pid: int) -> float | None:
    """Return the processor seconds of a process and those below it; None where they cannot be told."""
    total = 0.0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        proc = Path("/proc") / str(one)
        try:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            children = (proc / f"task/{one}/children").read_text().split()
        except OSError:
            if one == pid:
                return None
            continue
        total += sum(int(field) for field in fields[11:15])  # its own, and of those it has waited for
        waiting += [int(each) for each in children]
    return total / os.sysconf("SC_CLK_TCK")
