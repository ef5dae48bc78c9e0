"""What Docker's API is asked to create for one host's program."""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.compute import mounts
from clary.compute.base import RunSpec
from clary.compute.runners.base import Program

MIB = 1024 * 1024
RUN, HOST, AGENT, DATA = "clary.run", "clary.host", "clary.agent", "clary.data"
"""Labels: whose a container is, and whose process looks after it."""
PORT = 8080
"""Where a container answers. Source: developer guide, "Use your own inference code"."""
OPEN_FILES, PROCESSES = 65536, 8192
_CODE = "code"


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where a container stands in a network."""

    mode: str
    """`bridge`, `none`, `host`, or the name of the run's own network."""
    address: str = ""
    """Its fixed address, where the run has several hosts in a network of their own."""
    hosts: tuple[str, ...] = ()
    """`name:address` of what must resolve from the beginning."""
    is_published: bool = False
    """Its port is reached through this machine's loopback."""


def name_of(home: Path, spec: RunSpec) -> str:
    """Return the container's name: one a home, and none of another run's."""
    return f"clary-{spec.run_id}-{home.name}"


def document(
    program: Program,
    home: Path,
    spec: RunSpec,
    host: str,
    network: Network,
    labels: Mapping[str, str],
    gpus: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`."""
    memory = spec.size.memory_mib * MIB
    settings: dict[str, Any] = {
        "Binds": binds(home, program),
        "NetworkMode": network.mode,
        "Memory": memory,
        "MemorySwap": memory,  # as much as the memory: none of it is swap
        "ShmSize": memory,
        "NanoCpus": max(1, min(spec.size.cpus, os.cpu_count() or 1)) * 1_000_000_000,
        "Ulimits": [
            _ulimit("nofile", resource.RLIMIT_NOFILE, OPEN_FILES),
            _ulimit("nproc", resource.RLIMIT_NPROC, PROCESSES),
        ],
        "LogConfig": {"Type": "none"},  # its lines go to the job's log stream, nowhere else
        "ExtraHosts": list(network.hosts),
    }
    if gpus:
        settings["DeviceRequests"] = [dict(gpus)]
    made: dict[str, Any] = {
        "Image": program.image,
        "Hostname": "" if network.mode == "host" and not network.hosts else host,
        "Env": [f"{name}={value}" for name, value in program.environment.items()],
        "Labels": dict(labels),
        "HostConfig": settings,
    }
    if program.entrypoint:
        made["Entrypoint"] = list(program.entrypoint)
    if program.argv:
        made["Cmd"] = list(program.argv)
    if network.address:
        where = {"IPAMConfig": {"IPv4Address": network.address}, "Aliases": [host]}
        made["NetworkingConfig"] = {"EndpointsConfig": {network.mode: where}}
    if network.is_published:
        made["ExposedPorts"] = {f"{PORT}/tcp": {}}
        settings["PortBindings"] = {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    return made


def binds(home: Path, program: Program) -> list[str]:
    """Return the mounts: each folder of `/opt/ml` by itself, so that what the image has beside stays seen."""
    ml = home / "ml"
    below = [each for each in sorted(ml.iterdir()) if each.is_dir() and not each.is_symlink()]
    found = [f"{each}:{mounts.ML}/{each.name}" for each in below if each.name != _CODE or any(each.iterdir())]
    found += [f"{outside}:{inside}" for outside, inside in program.binds]
    return found + [f"{outside}:{inside}:ro" for outside, inside in program.ro_binds]


def _ulimit(name: str, kind: int, most: int) -> dict[str, Any]:
    """Return a limit that this process could set itself: more than its own, an engine may not give."""
    hard = resource.getrlimit(kind)[1]
    number = most if hard == resource.RLIM_INFINITY else min(hard, most)
    return {"Name": name, "Soft": number, "Hard": number}
