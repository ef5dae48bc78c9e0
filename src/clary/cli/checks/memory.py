"""Memory and processors."""

import os
from collections.abc import Iterator
from pathlib import Path

from clary.cli.checks.base import Finding, Grade
from clary.kernel.settings import Settings

LEAST_MIB = 1500
"""Store, objects, control plane, edge and zygote take 0.8 GB when idle; a small job needs the rest."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at what is free for jobs."""
    total, free = _mebibytes()
    text = f"{total} MiB, {free} MiB free; {os.cpu_count()} processors"
    if free >= LEAST_MIB:
        yield Finding(subject="Memory", grade=Grade.OK, text=text)
    else:
        mend = f"end other programs: jobs need room, {LEAST_MIB} MiB at least"
        yield Finding(subject="Memory", grade=Grade.LIMITED, text=text, mend=mend)


def _mebibytes() -> tuple[int, int]:
    """Return total and free memory."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(rows["MemTotal"].split()[0]) // 1024, int(rows["MemAvailable"].split()[0]) // 1024
    except OSError:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        return total, total
