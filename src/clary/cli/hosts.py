"""Hosts of a cluster, as a file lists them, and what is run on each over ssh.

head: ada@10.0.0.1                # or a mapping, as below
workers:
  - ada@10.0.0.2
  - {host: ada@10.0.0.3, address: 192.168.7.3, cpus: 8, memory_gib: 32, gpus: 1}
python: /opt/clary/bin/python     # has clary[ray], in the same version, on every host
environment: {CLARY_CONTAINERS: "unix:///run/podman/podman.sock"}
"""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.kernel.errors import SetupError

PORT, CLIENT_PORT = 6379, 10001
START_S = 180.0
HEALTH = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}
"""A lost node is noticed within ten seconds, Ray alone takes a minute; nothing is told to Ray's makers; jobs
do not give way to whatever else a node does; and no process dies that Ray's proxy forks for a client."""
MEMBERS = ("head", "workers", "python", "environment", "port", "client_port")
OF_A_HOST = ("host", "address", "cpus", "memory_gib", "gpus")
_SSH = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One host of the file."""

    host: str
    """As ssh takes it."""
    address: str
    """As the other hosts reach it."""
    cpus: int | None = None
    memory_gib: float | None = None
    gpus: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """What the file says."""

    head: Machine
    workers: tuple[Machine, ...] = ()
    python: str = "python3"
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = PORT
    client_port: int = CLIENT_PORT

    @property
    def address(self) -> str:
        """Return the cluster's address."""
        return f"ray://{self.head.address}:{self.client_port}"

    @property
    def all(self) -> tuple[Machine, ...]:
        """Return every host, the head first."""
        return (self.head, *self.workers)


def read(path: Path) -> Hosts:
    """Read a list of hosts: YAML, or the JSON in it.

    Raises
    ------
    SetupError
        It cannot be read; the text names the member.
    """
    try:
        document = _parsed(path.read_text())
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from None
    if not isinstance(document, dict) or "head" not in document:
        raise SetupError(f"{path}: a list of hosts has `head`, and may have `workers`")
    if unknown := set(document) - set(MEMBERS):
        raise SetupError(f"{path}: {min(unknown)!r} is not known; there are {', '.join(MEMBERS)}")
    given = {name: document[name] for name in MEMBERS[2:] if name in document}
    if (document.get("environment") or {}).get("CLARY_CONTAINERS") == "podman":
        raise SetupError(
            f"{path}: CLARY_CONTAINERS is 'podman', whose service `clary up` runs on its own machine alone; "
            "name where each host's engine listens, as in unix:///run/podman/podman.sock, or `docker`"
        )
    given["environment"] = {str(key): str(each) for key, each in given.get("environment", {}).items()}
    machines = [_machine(path, each) for each in (document["head"], *document.get("workers", ()))]
    return Hosts(head=machines[0], workers=tuple(machines[1:]), **given)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml  # noqa: PLC0415 - comes with Ray, and nothing else here needs it
    except ImportError:
        raise SetupError('a list of hosts in YAML needs what Ray brings: pip install "clary[ray]"') from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SetupError(f"the list of hosts is no YAML: {' '.join(str(error).split())}") from None


def _machine(path: Path, given: object) -> Machine:
    document = {"host": given} if isinstance(given, str) else given
    if not isinstance(document, dict) or not isinstance(document.get("host"), str):
        raise SetupError(f"{path}: {given!r} is no host; it must be a name, or a mapping with `host`")
    if unknown := set(document) - set(OF_A_HOST):
        raise SetupError(
            f"{path}: {min(unknown)!r} of {document['host']} is not known; there are {', '.join(OF_A_HOST)}"
        )
    return Machine(**{"address": document["host"].rpartition("@")[2], **document})


def starting(hosts: Hosts, machine: Machine) -> str:
    """Return the shell text that starts Ray on a host, once; the cluster's token comes on its input."""
    is_head = machine == hosts.head
    words = [hosts.python, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={machine.address}"]
    words += (
        ["--head", f"--port={hosts.port}", f"--ray-client-server-port={hosts.client_port}"]
        if is_head
        else [f"--address={hosts.head.address}:{hosts.port}"]
    )
    words += ["--disable-usage-stats", '--resources={"clary_gang": 1}']
    words += ["--include-dashboard=false"] if is_head else []
    words += [] if machine.cpus is None else [f"--num-cpus={machine.cpus}"]
    words += [] if machine.gpus is None else [f"--num-gpus={machine.gpus}"]
    words += [] if machine.memory_gib is None else [f"--memory={int(machine.memory_gib * 2**30)}"]
    environment = {**HEALTH, **hosts.environment, "RAY_AUTH_MODE": "token"}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items()))
    return (
        "if pgrep -x raylet > /dev/null; then echo runs already; exit 0; fi; "
        f"IFS= read -r RAY_AUTH_TOKEN; export RAY_AUTH_TOKEN {exports}; exec {shlex.join(words)}"
    )


def stopping(hosts: Hosts) -> str:
    """Return the shell text that ends Ray on a host; agents end with it."""
    return f"exec {shlex.join([hosts.python, '-m', 'ray.scripts.scripts', 'stop', '--grace-period', '10'])}"


def run(
    machines: Sequence[Machine], texts: Sequence[str], *, ssh: Sequence[str], said: str = ""
) -> list[str]:
    """Run a shell text on each host, all at once; return what failed, a line each.

    Parameters
    ----------
    ssh : sequence of str
        Command that takes a host and a text.
    said : str
        Given to each on its input.
    """

    def one(machine: Machine, text: str) -> str:
        words = [*ssh, *(_SSH if ssh[-1].rpartition("/")[2] == "ssh" else ()), machine.host, text]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own ssh, to hosts that the user has listed
                words, input=said, capture_output=True, text=True, check=False, timeout=START_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{machine.host}: {error}"
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return "" if done.returncode == 0 else f"{machine.host}: {''.join(last) or done.returncode}"

    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        return [text for text in pool.map(one, machines, texts) if text]
