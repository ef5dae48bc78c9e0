"""The processes of the platform, as a plain list."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace

from clary.cli.supervisor import probes
from clary.cli.supervisor.process import Process
from clary.compute import accelerator, limits, zygote
from clary.compute.docker import service
from clary.gateway import objects
from clary.gateway.listener import INHERITED, listen
from clary.gateway.objects import Command
from clary.kernel.settings import Settings

HEALTH = "/_clary/health"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
OURS_ONLY = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SAGEMAKER_USER_CONFIG_OVERRIDE")


def platform(settings: Settings) -> Sequence[Process]:
    """Return what `clary up` runs; stopped in reverse: edges, accelerators, control plane, and so on."""
    listed = [_zygote(settings, "base"), _control(settings)]
    if objects.is_embedded(settings):
        listed.insert(0, _objects(settings))
    if service.is_own(settings):
        listed.insert(0, _containers(settings))
    if accelerator.count(settings):
        listed.append(_accelerator(settings))
    # Kept open here: no connection is refused or dropped while an edge restarts.
    port = listen(settings.host, settings.port)
    return [*listed, *(_edge(settings, port, n) for n in range(1, settings.edges + 1))]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of our own programs: the caller's, less what is meant for AWS clients."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for name in PROXIES:
        if kept.get(name, "").rstrip("/") == settings.url:  # `clary up` in a shell that had `clary env`
            del kept[name]
    for name in OURS_ONLY:
        if kept.get(name, "").startswith(str(settings.data_dir)):
            del kept[name]
    if "PYTHONPATH" in kept:  # the working directory of the processes is another
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return limits.PATIENT_THREADS | kept | settings.environment() | {"PYTHONUNBUFFERED": "1"}


def _python(settings: Settings, *arguments: str) -> Command:
    argv = (sys.executable, "-P", "-m", *arguments)  # -P: no module is imported from the data folder
    return Command(argv=argv, environment=environment(settings), directory=settings.data_dir)


def _objects(settings: Settings) -> Process:
    async def ready() -> str:
        return await objects.trouble(objects.load(settings), writes=True)

    return Process(name="objects", command=lambda: objects.command(settings), ready=ready, grace_s=10.0)


def _zygote(settings: Settings, runtime: str) -> Process:
    return Process(
        name=f"zygote-{runtime}",
        command=lambda: _python(settings, "clary.compute.zygote", "--runtime", runtime),
        ready=lambda: probes.listens(zygote.socket_path(settings, runtime)),
        umask=0o022,
        is_required=False,  # its imports take seconds; jobs that come sooner wait for it, nobody else does
    )


def _control(settings: Settings) -> Process:
    path = settings.control_socket

    def command() -> Command:
        path.unlink(missing_ok=True)
        options = ("--uds", str(path), "--factory", "--no-access-log", "--log-level", "warning")
        plain = ("--no-proxy-headers", "--no-server-header", "--timeout-graceful-shutdown", "5")
        return _python(settings, "uvicorn", *options, *plain, "clary.gateway.control:create")

    return Process(
        name="control", command=command, ready=lambda: probes.http(HEALTH, socket=path), grace_s=10.0
    )


def _containers(settings: Settings) -> Process:
    path = service.socket_path(settings)

    def command() -> Command:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Command(
            argv=service.command(settings), environment=environment(settings), directory=settings.data_dir
        )

    return Process(
        name="containers",
        command=command,
        ready=lambda: probes.listens(path),
        umask=0o022,
        is_required=False,  # jobs that need it say so; nobody else does
    )


def _accelerator(settings: Settings) -> Process:
    return Process(
        name="accelerator",
        command=lambda: _python(settings, "clary.serving.elastic"),
        ready=lambda: probes.listens(accelerator.control_socket(settings)),
        is_required=False,  # replicas that need it wait for it, nobody else does
    )


def _edge(settings: Settings, port: socket.socket, n: int) -> Process:
    def command() -> Command:
        plain = _python(settings, "clary.gateway.edge")
        inherited = {**plain.environment, INHERITED: str(port.fileno())}
        return replace(plain, environment=inherited, keeps=(port.fileno(),))

    return Process(
        name="edge" if n == 1 else f"edge-{n}",
        command=command,
        ready=lambda: probes.http(HEALTH, host=settings.host, port=settings.port),
    )
