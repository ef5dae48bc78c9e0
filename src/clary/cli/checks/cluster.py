"""Whether jobs go to a cluster, and what that needs."""

from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.compute.cluster import link
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Cluster"


def check(settings: Settings) -> Iterator[Finding]:
    """Look whether Ray is there, and an address."""
    if not settings.cluster:
        mend = "clary cluster up HOSTS.yaml, then clary up --cluster FILE"
        yield Finding(subject=SUBJECT, grade=Grade.ABSENT, text="jobs run on this machine alone", mend=mend)
        return
    try:
        address, _ = link.check(settings.cluster)
    except SetupError as error:
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text=str(error), mend=link.INSTALL)
        return
    yield Finding(subject=SUBJECT, grade=Grade.OK, text=f"jobs go to the Ray cluster at {address}")
