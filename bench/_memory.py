"""What transforming agents and their programs hold, sampled while a job runs."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from clary.cli import agents
from clary.testing.server import ClaryServer

SAMPLE_S = 0.02


@contextlib.contextmanager
def sampled(server: ClaryServer) -> Iterator[list[float]]:
    """Sample what transforming agents and their programs hold; yield a list with the peak in bytes."""
    peak, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_S):
            for each in agents.alive(server.settings):
                peak[0] = max(peak[0], sum(map(held, family(each.pid))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def held(pid: int) -> float:
    """Return a process's share of the memory it maps, shared pages divided among their users."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1]) * 1024
    return 0.0
