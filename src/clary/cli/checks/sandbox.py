"""How jobs are walled off."""

import os
from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.compute import sandbox
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Sandbox"


def check(settings: Settings) -> Iterator[Finding]:
    """Open a sandbox."""
    try:
        means = sandbox.probe(settings)
    except SetupError as error:
        mend = "set CLARY_SANDBOX=auto, or mend what is said"
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text=str(error), mend=mend)
        return
    if means.kind == "none":
        text = f"jobs are not walled off from this machine: {means.reason}"
        mend = "install bubblewrap and allow user namespaces: sysctl kernel.unprivileged_userns_clone=1"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=text, mend=mend)
        return
    how = "each job under a user id of its own" if means.kind == "root" else "in user namespaces"
    yield Finding(
        subject=SUBJECT, grade=Grade.OK, text=f"bubblewrap {means.bwrap}, {how} (user id {os.getuid()})"
    )
