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
SETTLED = 0.4
"""The share of a process's life that is not judged: at its start everything grows."""
LONG = 0.5
"""Of the whole trial: who lived shorter is not judged."""
LEAST_LOOKS = 12
MOST_MB = {"edge": 8.0, "control": 24.0, "agent": 3.0}
"""Growth that is still flat, from the first third of what is judged to the last; of agents, the worst."""
MOST_DESCRIPTORS = {"edge": 12.0, "control": 6.0, "agent": 2.0}
"""An edge has a connection to each replica, whose number changes all the time."""


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
            if mb:  # a process that was killed has none
                self._seen[name, pid].append((time.monotonic(), mb, descriptors))

    def judge(self, report: Report) -> None:
        """Report what each process that lived long enough grew by, and hold the worst of each kind."""
        rows = []
        worst: dict[str, list[float]] = {}
        longest = max(looks[-1][0] - looks[0][0] for looks in self._seen.values())
        for (name, pid), looks in sorted(self._seen.items()):
            kept = np.array(looks[int(len(looks) * SETTLED) :])
            if len(kept) < LEAST_LOOKS or looks[-1][0] - looks[0][0] < LONG * longest:
                continue
            third = len(kept) // 3
            first, last = np.median(kept[:third, 1:], axis=0), np.median(kept[-third:, 1:], axis=0)
            shown = [f"{a:.1f} > {b:.1f}" for a, b in zip(first, last, strict=True)]
            rows.append((f"{name} {pid}", looks[-1][0] - looks[0][0], *shown))
            grown = (last - first).tolist()
            worst[name] = [max(pair) for pair in zip(grown, worst.get(name, grown), strict=True)]
        report.table("Growth", ("process", "lived s", "MB", "descriptors"), rows)
        for name in MOST_MB.keys() & worst.keys():
            mb, descriptors = worst[name]
            report.bar(f"{name}: memory that it grew by", mb, MOST_MB[name], "MB")
            report.bar(f"{name}: descriptors that it grew by", descriptors, MOST_DESCRIPTORS[name], "")
        report.facts["growth"] = worst
