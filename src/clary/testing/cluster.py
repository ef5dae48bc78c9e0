"""A Ray cluster on one machine: each node in a network namespace of its own, as if it were another machine.

    this machine, .254 ── bridge ── veth ── node 1, .1: the head
                                 ├─ veth ── node 2, .2
                                 └─ veth ── node 3, .3

Needs root, `ip`, and Ray beside Clary in this environment: `make` keeps one in `.venvs/ray`.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.compute import linux
from clary.compute.docker import service
from clary.compute.docker.client import Docker, DockerError
from clary.testing.server import Account, ClaryServer, end_agents

PORT = 6379
CLIENT_PORT = 10001
START_S = 120.0
NAMES = Path("/etc/netns")
"""Where `ip netns exec` takes a namespace's files from: nodes have no name server, and hear so at once."""
PATIENCE_S = 300.0
"""For what comes of a node's death, on a machine with much else to do."""
QUICK_HEALTH = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_worker_niceness": "0",
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}
"""A lost node is noticed in seconds, and jobs do not give way to others."""
_RANGES = range(60, 250)


def missing() -> str:
    """Return why there can be no cluster here; empty where there can."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not in this environment: make test-all sets up .venvs/ray"
    if os.geteuid() != 0:
        return "network namespaces are made by root alone"
    if shutil.which("ip") is None:
        return "`ip` is not there: apt install iproute2"
    tried = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True)  # noqa: S607
    return "" if tried.returncode == 0 else "this system allows no network namespaces"


def _ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *words], check=check, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout


def _is_made(number: int) -> bool:
    """Make the bridge of a number, unless there is one: others make theirs at the same time."""
    if f"10.77.{number}." in _ip("-4", "addr"):
        return False
    words = ["ip", "link", "add", f"clary{number}", "type", "bridge"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0  # noqa: S603


@dataclass
class Node:
    """One node: its namespace, its address, its share of the machine."""

    name: str
    address: str
    folder: Path
    cpus: int = 2
    memory_mib: int = 2048
    gpus: int = 0
    """What it tells Ray; there need not be any."""
    has_engine: bool = False
    """A Podman of its own listens there."""
    is_head: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """Return where its Podman listens."""
        return f"unix://{self.folder / 'p.sock'}"


class Cluster:
    """Nodes on a bridge.

    Parameters
    ----------
    folder : Path
        For the nodes' runs and Ray's own files; its path must be short, for Ray has sockets in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        number = next(each for each in _RANGES if _is_made(each))
        self.net = f"10.77.{number}"
        self.bridge = f"clary{number}"
        self.nodes: dict[str, Node] = {}
        self.token = secrets.token_hex(16)
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "address"
        """What `CLARY_CLUSTER` names: the cluster's address, and its token."""
        self.file.write_text(f"ray://{self.net}.1:{CLIENT_PORT}\n{self.token}\n")
        _ip("addr", "add", f"{self.net}.254/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def add(
        self,
        name: str,
        *,
        cpus: int = 2,
        memory_mib: int = 2048,
        gpus: int = 0,
        has_engine: bool = False,
        **settings: str,
    ) -> Node:
        """Have a node join; the first one is the head.

        Parameters
        ----------
        settings : str
            `CLARY_*` variables of the node, by their names without the prefix, in lower case.
        """
        number = len(self.nodes) + 1
        node = Node(
            name=f"{self.bridge}-{name}",
            address=f"{self.net}.{number}",
            folder=self.folder / name,
            cpus=cpus,
            memory_mib=memory_mib,
            gpus=gpus,
            has_engine=has_engine,
            is_head=not self.nodes,
            settings=settings,
        )
        self.nodes[name] = node
        near, far = f"{self.bridge}v{number}", f"{self.bridge}n{number}"
        _ip("netns", "add", node.name)
        names = NAMES / node.name
        names.mkdir(parents=True, exist_ok=True)
        (names / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        _ip("link", "add", near, "type", "veth", "peer", "name", far)
        _ip("link", "set", near, "master", self.bridge, "up")
        _ip("link", "set", far, "netns", node.name)
        _ip("-n", node.name, "addr", "add", f"{node.address}/24", "dev", far)
        _ip("-n", node.name, "link", "set", far, "up")
        _ip("-n", node.name, "link", "set", "lo", "up")
        _ip("-n", node.name, "route", "add", "default", "via", f"{self.net}.254")
        self.start(name)
        return node

    def start(self, name: str) -> None:
        """Start Ray on a node, and wait until it is there."""
        node = self.nodes[name]
        node.folder.mkdir(parents=True, exist_ok=True)
        node.folder.chmod(0o711)
        ray = str(Path(sys.executable).with_name("ray"))
        role = (
            [
                "--head",
                f"--port={PORT}",
                f"--ray-client-server-port={CLIENT_PORT}",
                "--include-dashboard=false",
            ]
            if node.is_head
            else [f"--address={self.net}.1:{PORT}"]
        )
        words = [ray, "start", *role, f"--node-ip-address={node.address}", "--disable-usage-stats"]
        words += [f"--num-cpus={node.cpus}", f"--memory={node.memory_mib << 20}", f"--num-gpus={node.gpus}"]
        words += ["--object-store-memory=80000000", f"--temp-dir={node.folder / 'r'}"]
        words += ['--resources={"clary_gang": 1}']
        environment = os.environ | QUICK_HEALTH | {"RAY_USAGE_STATS_ENABLED": "0"}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        environment |= {"CLARY_NODE_DIR": str(node.folder / "c"), "RAY_DISABLE_IMPORT_WARNING": "1"}
        environment |= {f"CLARY_{key.upper()}": value for key, value in node.settings.items()}
        environment.pop("RAY_ADDRESS", None)
        if node.has_engine:
            _start_engine(node)
            environment["CLARY_CONTAINERS"] = node.engine
        done = subprocess.run(  # noqa: S603
            ["ip", "netns", "exec", node.name, *words],  # noqa: S607
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode:
            raise RuntimeError(f"Ray does not start on {name}:\n{done.stdout}\n{done.stderr}")

    def processes(self, name: str) -> list[int]:
        """Return the processes of a node: all that is in its namespace."""
        return [int(each) for each in _ip("netns", "pids", self.nodes[name].name, check=False).split()]

    def is_kept(self, name: str) -> bool:
        """Return whether a Clary has its keeper on a node: it then knows of the node."""
        for pid in self.processes(name):
            with contextlib.suppress(OSError):
                if b"RayKeeper" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return True
        return False

    def where(self, name: str) -> list[str]:
        """Return the nodes on which a job or an endpoint has a live agent, one a host."""
        return [key for key in self.nodes for _ in self.hosts(key, f"{name[:40]}-*")]

    def hosts(self, node: str, runs: str = "*") -> list[Path]:
        """Return the folders of hosts whose agents live on a node."""
        homes = self.nodes[node].folder.glob(f"c/*/runs/{runs}/hosts/*")
        return [each for each in homes if linux.stamped(each / "pid")]

    def kill(self, name: str) -> None:
        """End a node as a power cut does: every process of it at once, sandboxes and containers included."""
        for _ in range(100):
            found = self.processes(name)
            if not found:
                return
            found += [below for pid in found for below in _below(pid)]  # in networks of their own
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def cut(self, name: str, *, is_cut: bool = True) -> None:
        """Take a node off the network, or put it back; it lives on."""
        number = list(self.nodes).index(name) + 1
        _ip("link", "set", f"{self.bridge}v{number}", "down" if is_cut else "up")

    def close(self) -> None:
        """End all nodes and take the network down."""
        for number, name in enumerate(self.nodes, 1):
            self.kill(name)
            _ip("link", "del", f"{self.bridge}v{number}", check=False)
            _ip("netns", "del", self.nodes[name].name, check=False)
            shutil.rmtree(NAMES / self.nodes[name].name, ignore_errors=True)
        _ip("link", "del", self.bridge, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that a process has begun, and theirs."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for each in map(int, path.read_text().split()):
                yield each
                yield from _below(each)


def _start_engine(node: Node) -> None:
    """Run a Podman in a node's network, with images of its own, as on a machine that has just started."""
    folder = node.folder / "e"
    for name in ("run", "tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "net").mkdir(parents=True, exist_ok=True)
    words = ["nsenter", f"--net=/run/netns/{node.name}", "unshare", "--mount", "--propagation", "slave"]
    words += ["sh", "-c", 'mount -t tmpfs tmpfs /run/netns && exec "$@"', "sh"]  # its mounts end with it
    words += [*service.podman(), "--root", str(folder / "root")]
    words += ["--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp")]
    words += ["--network-config-dir", str(folder / "net"), "system", "service", "--time", "0", node.engine]
    with (folder / "log").open("ab") as log:
        subprocess.Popen(  # noqa: S603 - Podman
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    docker, end = Docker(node.engine), time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(DockerError):
            docker.ask("GET", "/version")
            return
        time.sleep(0.1)
    raise RuntimeError(f"Podman does not start on {node.name}:\n{(folder / 'log').read_text()}")


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until `holds()` is true; return what it was."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def lines(account: Account, name: str) -> list[str]:
    """Return what the job's hosts printed."""
    client, group = account.client("logs"), "/aws/sagemaker/TrainingJobs"
    streams = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    names = [each["logStreamName"] for each in streams]
    pages = [client.get_log_events(logGroupName=group, logStreamName=each) for each in names]
    return [event["message"] for page in pages for event in page["events"]]


@contextlib.contextmanager
def running(folder: Path, names: Sequence[str] = ("n1", "n2", "n3"), **node: Any) -> Iterator[Cluster]:
    """Yield a cluster of equal nodes, as `Cluster.add` has them; it is gone at the end."""
    cluster = Cluster(folder)
    try:
        for name in names:
            cluster.add(name, **node)
        yield cluster
    finally:
        cluster.close()


@contextlib.contextmanager
def served(folder: Path, cluster: Cluster, **settings: Any) -> Iterator[ClaryServer]:
    """Yield a Clary whose runs go to a cluster; nothing of it is left at the end."""
    server = ClaryServer.start(folder, cluster=str(cluster.file), **settings)
    try:
        yield server
    finally:
        server.stop()
        end_agents(server.settings)
