"""Memory and descriptors of a running Clary over time: whether they grow."""

import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from bench._bars import Report

from clary.cli import agents
from clary.cli.supervisor import state
from clary.testing.server import ClaryServer

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
LAST = 0.6
"""The share of a process's life that is judged: at its start everything grows."""
LEAST_LOOKS = 12
PER_S = 600.0
MOST_MB = {"edge": 8.0, "control": 24.0, "agent": 3.0}
"""Growth in ten minutes that is still flat; of an agent, the worst."""
MOST_DESCRIPTORS = 6.0


class Growth:
    """What was seen of each process."""

    def __init__(self, server: ClaryServer) -> None:
        self._server = server
        self._seen: dict[tuple[str, int], list[tuple[float, float, int]]] = defaultdict(list)

    def look(self) -> None:
        """Look at all processes now."""
        found = state.read(self._server.data_dir)
        pids = {each.pid: each.name for each in found.processes if each.pid} if found else {}
        pids |= {each.pid: "agent" for each in agents.alive(self._server.settings)}
        for pid, name in pids.items():
            try:
                mb = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
                descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, ValueError):
                continue
            self._seen[name.rstrip("-0123456789"), pid].append((time.monotonic(), mb, descriptors))

    def judge(self, report: Report) -> None:
        """Report the slope of each process that lived long enough, and hold the worst of each kind."""
        rows, worst = [], defaultdict(lambda: (-1e9, -1e9))
        for (name, pid), looks in sorted(self._seen.items()):
            kept = np.array(looks[int(len(looks) * (1 - LAST)) :])
            if len(kept) < LEAST_LOOKS:
                continue
            mb, descriptors = (float(np.polyfit(kept[:, 0], kept[:, n], 1)[0]) * PER_S for n in (1, 2))
            worst[name] = (max(worst[name][0], mb), max(worst[name][1], descriptors))
            rows.append(
                (f"{name} {pid}", kept[0, 1], kept[-1, 1], mb, int(kept[0, 2]), int(kept[-1, 2]), descriptors)
            )
        head = ("process", "MB", "at the end", "in 10 min", "descriptors", "at the end", "in 10 min")
        report.table("Growth, by a line through the last part of each life", head, rows)
        for name, most in MOST_MB.items():
            if name in worst:
                report.bar(f"{name}: growth of memory in ten minutes", worst[name][0], most, "MB")
                report.bar(
                    f"{name}: growth of descriptors in ten minutes", worst[name][1], MOST_DESCRIPTORS, ""
                )
        report.facts["growth"] = {name: list(each) for name, each in worst.items()}
