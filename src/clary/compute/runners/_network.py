"""The network of a run's containers: hosts that find each other by name, with or without the world.

On one machine a network of the run's own; on several nodes of a cluster these nodes', for no other has both.
"""

import fcntl
import ipaddress
import json
import time
from pathlib import Path
from typing import Any

from clary.compute.base import RunKind, RunSpec
from clary.compute.docker.client import Docker, DockerError
from clary.compute.runners._creation import DATA, RUN, Network
from clary.compute.runners.process import machines_of
from clary.kernel.errors import SetupError

FIRST = 2
"""Number of the first host in its network; the one before is the gateway."""
TRIES = 20
_FILE = "container-network.json"


def name_of(spec: RunSpec) -> str:
    """Return the name of the run's own network."""
    return f"clary-{spec.run_id}"


def joined(
    docker: Docker, home: Path, spec: RunSpec, host: str, *, isolated: bool, is_entered: bool, data: str
) -> Network:
    """Return the network of one host, the run's own made where it needs one.

    Parameters
    ----------
    isolated : bool
        No way out, but to the other hosts of the run.
    is_entered : bool
        This process can open doors inside; else the container shares this machine's network where it may.
    data : str
        Label of whose the network is.
    """
    serves = spec.kind in {RunKind.SERVING, RunKind.TRANSFORM}
    machines = machines_of(home)
    if machines and not (serves or isolated):  # their ports are their machine's, as those of processes are
        return Network(mode="host", hosts=tuple(f"{name}:{address}" for name, address in machines.items()))
    if len(spec.hosts) == 1 or serves:
        if isolated and not serves:
            return Network(mode="none", hosts=(f"{host}:127.0.0.1",))
        if not isolated:
            alone = "bridge" if is_entered or serves else "host"
            return Network(mode=alone, is_published=serves and not is_entered)
    with (home.parent.parent / "container-network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = home.parent.parent / _FILE
        known = json.loads(place.read_text())["subnet"] if place.exists() else ""
        if not known or not _exists(docker, spec):  # the last one that left took it away
            known = _made(docker, spec, known, isolated=isolated, data=data)
            place.write_text(json.dumps({"subnet": known}))
        subnet = ipaddress.ip_network(known)
    if serves:
        return Network(mode=name_of(spec))
    addresses = {each: str(subnet[FIRST + n]) for n, each in enumerate(spec.hosts)}
    hosts = tuple(f"{name}:{address}" for name, address in addresses.items() if name != host)
    return Network(mode=name_of(spec), address=addresses[host], hosts=hosts)


def _made(docker: Docker, spec: RunSpec, subnet: str, *, isolated: bool, data: str) -> str:
    """Make the run's network on a subnet that the engine finds free, fixed: addresses are ours to give."""
    wanted: dict[str, Any] = {
        "Name": name_of(spec),
        "Driver": "bridge",
        "Internal": isolated,
        "Labels": {RUN: spec.run_id, DATA: data},
    }
    for _ in range(TRIES):
        remove(docker, spec)
        if not subnet:
            docker.ask("POST", "/networks/create", wanted)
            subnet = _subnet(docker, spec)
            remove(docker, spec)
        try:
            docker.ask("POST", "/networks/create", {**wanted, "IPAM": {"Config": [{"Subnet": subnet}]}})
        except DockerError:
            subnet = ""
            time.sleep(0.05)  # another run took it in between
            continue
        return subnet
    raise SetupError("the container engine finds no free subnet for the run's network")


def _exists(docker: Docker, spec: RunSpec) -> bool:
    try:
        docker.ask("GET", f"/networks/{name_of(spec)}")
    except DockerError as error:
        if error.status == 404:
            return False
        raise
    return True


def _subnet(docker: Docker, spec: RunSpec) -> str:
    found = docker.ask("GET", f"/networks/{name_of(spec)}")["IPAM"]["Config"]
    return str(next(each["Subnet"] for each in found if ":" not in each["Subnet"]))


def remove(docker: Docker, spec: RunSpec) -> bool:
    """Remove the run's network; False while somebody is in it."""
    try:
        docker.ask("DELETE", f"/networks/{name_of(spec)}")
    except DockerError as error:
        return error.status == 404
    return True
