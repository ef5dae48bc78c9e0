"""Whether real images run, and with what."""

import shutil
from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.compute.docker import service
from clary.compute.runners import _doors
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Containers"
OFF = "images of your own do not run: no container engine is set up"
INSTALL = "install one and set CLARY_CONTAINERS: apt install podman, then CLARY_CONTAINERS=podman"
NO_PODMAN = "CLARY_CONTAINERS is podman, and there is no `podman` on the PATH"
NOT_UP = "Podman is there; `clary up` runs its service"
NO_DOORS = (
    "Clary is not root: containers share this machine's network, and hosts of one job do not reach Clary"
)


def check(settings: Settings) -> Iterator[Finding]:
    """Ask the engine."""
    if not service.is_on(settings):
        yield Finding(subject=SUBJECT, grade=Grade.ABSENT, text=OFF, mend=INSTALL)
        return
    try:
        found = service.version(settings)
    except SetupError as error:
        yield _absent(settings, error)
        return
    yield Finding(subject=SUBJECT, grade=Grade.OK, text=found)
    if not _doors.can_open():
        mend = "run Clary as root, or give hosts that need it credentials of their own"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=NO_DOORS, mend=mend)


def _absent(settings: Settings, error: SetupError) -> Finding:
    if service.is_own(settings):
        if shutil.which(service.PODMAN) is None:
            mend = "apt install podman runc"
            return Finding(subject=SUBJECT, grade=Grade.LIMITED, text=NO_PODMAN, mend=mend)
        return Finding(subject=SUBJECT, grade=Grade.OK, text=NOT_UP)
    mend = "start the engine, or set CLARY_CONTAINERS to where it listens"
    return Finding(subject=SUBJECT, grade=Grade.LIMITED, text=str(error), mend=mend)
