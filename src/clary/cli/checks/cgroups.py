"""Memory limits of jobs."""

import os
from collections.abc import Iterator
from contextlib import suppress

from clary.cli.checks.base import Finding, Grade
from clary.compute import limits
from clary.kernel.settings import Settings

SUBJECT = "Memory limits"


def check(settings: Settings) -> Iterator[Finding]:
    """Make a control group, and remove it."""
    fence = None
    with suppress(Exception):  # any refusal of the kernel's means the same
        fence = limits.fence(f"doctor-{os.getpid()}", 64)
    if fence is not None:
        fence.close()
        yield Finding(
            subject=SUBJECT, grade=Grade.OK, text="control groups: the kernel stops a job at its memory"
        )
        return
    yield Finding(
        subject=SUBJECT,
        grade=Grade.LIMITED,
        text="no control groups: a job over its memory is seen and stopped a moment later, by a watchdog",
        mend="delegate a group to this user: systemd-run --user --scope -p Delegate=yes clary up",
    )
