"""Whether real images run, and with what."""

import getpass
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clary.cli.checks.base import Finding, Grade
from clary.compute import machine
from clary.compute.docker import service
from clary.compute.runners import _doors, _gpus
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
    if service.is_own(settings) and os.geteuid():
        yield from rootless(getpass.getuser(), os.getuid())
    try:
        found = service.version(settings)
    except SetupError as error:
        yield _absent(settings, error)
        return
    yield Finding(subject=SUBJECT, grade=Grade.OK, text=found)
    if machine.gpus() and (why := _gpus.refusal(found)):
        mend = "install a newer Podman, or Docker with the NVIDIA container toolkit"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=why, mend=mend)
    if not _doors.can_open():
        mend = "run Clary as root, or give hosts that need it credentials of their own"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=NO_DOORS, mend=mend)


def rootless(user: str, uid: int, etc: Path = Path("/etc")) -> Iterator[Finding]:
    """Say what Podman lacks to run images with more users than one, for a user who is not root."""
    if shutil.which("newuidmap") is None or shutil.which("newgidmap") is None:
        what = "rootless Podman has no newuidmap and newgidmap"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=what, mend="apt install uidmap")
    for name in ("subuid", "subgid"):
        path = etc / name
        rows = path.read_text().splitlines() if path.exists() else []
        if not any(row.partition(":")[0] in {user, str(uid)} for row in rows):
            what = (
                f"{path} has no range for {user}: rootless Podman unpacks no image with files of other users"
            )
            mend = f"usermod --add-{name}s 200000-265535 {user}; podman system migrate"
            yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=what, mend=mend)


def _absent(settings: Settings, error: SetupError) -> Finding:
    if service.is_own(settings):
        if shutil.which(service.PODMAN) is None:
            mend = "apt install podman runc"
            return Finding(subject=SUBJECT, grade=Grade.LIMITED, text=NO_PODMAN, mend=mend)
        return Finding(subject=SUBJECT, grade=Grade.OK, text=NOT_UP)
    mend = "start the engine, or set CLARY_CONTAINERS to where it listens"
    return Finding(subject=SUBJECT, grade=Grade.LIMITED, text=str(error), mend=mend)
