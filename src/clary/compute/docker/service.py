"""Where the container engine listens, and Podman's service where Clary runs it itself."""

import os
import shutil
from pathlib import Path

from clary.compute.docker.client import Docker, DockerError
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

PODMAN, DOCKER = "podman", "docker"
DOCKER_URL = "unix:///var/run/docker.sock"
SOCKET = "podman.sock"
LOOK_S = 5.0
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")
_SYSTEMD = Path("/run/systemd/system")


def is_on(settings: Settings) -> bool:
    """Return whether real images run."""
    return bool(settings.containers)


def is_own(settings: Settings) -> bool:
    """Return whether `clary up` runs the engine's service."""
    return settings.containers == PODMAN


def url_of(settings: Settings) -> str:
    """Return where the engine listens.

    Raises
    ------
    SetupError
        `CLARY_CONTAINERS` names none.
    """
    chosen = settings.containers
    if chosen == PODMAN:
        return f"unix://{socket_path(settings)}"
    if chosen == DOCKER:
        return os.environ.get("DOCKER_HOST") or DOCKER_URL
    if chosen.startswith(("unix://", "tcp://")):
        return chosen
    raise SetupError(
        f"CLARY_CONTAINERS is {chosen!r}; it must be `podman`, `docker`, or where an engine listens: "
        "`unix:///path` or `tcp://host:port`"
    )


def socket_path(settings: Settings) -> Path:
    """Return the socket of the service that `clary up` runs."""
    return settings.socket_dir / SOCKET


def connect(settings: Settings) -> Docker:
    """Return the engine's client; whether it answers, the first call tells."""
    return Docker(url_of(settings))


def podman() -> tuple[str, ...]:
    """Return how a command of Podman's begins, with what this machine needs to run containers at all."""
    argv = [shutil.which(PODMAN) or PODMAN, "--events-backend", "file"]
    if not _UNIFIED.exists() and (runc := shutil.which("runc")):
        argv += ["--runtime", runc]  # crun refuses cgroups of both versions side by side
    if not _SYSTEMD.exists():
        argv += ["--cgroup-manager", "cgroupfs"]
    return tuple(argv)


def command(settings: Settings) -> tuple[str, ...]:
    """Return the command of Podman's service."""
    return (*podman(), "system", "service", "--time", "0", f"unix://{socket_path(settings)}")


def version(settings: Settings) -> str:
    """Return the engine's name and version.

    Raises
    ------
    SetupError
        It does not answer, or is not set up.
    """
    try:
        return engine(connect(settings))
    except DockerError as error:
        raise SetupError(f"no container engine: {error}") from error


def engine(docker: Docker) -> str:
    """Return name and version of what answers, as `Podman 4.3.1`."""
    found = docker.ask("GET", "/version", timeout_s=LOOK_S)
    names = [str(each.get("Name", "")) for each in found.get("Components") or ()]
    name = "Podman" if any("Podman" in each for each in names) else "Docker"
    return f"{name} {found.get('Version', '')}"
