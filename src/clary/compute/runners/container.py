"""Containers as hosts: real images through Docker's API, on Docker or Podman.

create ─▶ guard ─▶ attach ─▶ start ─▶ doors ─▶ … ─▶ end ─▶ exit code ─▶ remove
                                                    └ the agent dies: the guard removes it
"""

import contextlib
import hashlib
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from clary.compute import linux
from clary.compute.base import RunSpec
from clary.compute.docker import service, stream
from clary.compute.docker.client import Docker, DockerError
from clary.compute.runners import _creation, _doors, _gpus, _guard, _network
from clary.compute.runners._creation import Network
from clary.compute.runners.base import Exit, Program, Running
from clary.compute.runners.process import gpus_of
from clary.kernel.errors import CustomerError, SetupError
from clary.kernel.settings import Settings

FIRST_LOOK_S, LONGEST_LOOK_S = 0.01, 0.5
KILLED = 128 + int(signal.SIGKILL)
NO_PROGRAM = ("executable file not found", "permission denied", "no such file or directory", "no command")
"""How engines say that the image has not the program that it is asked for."""
_CGROUP = Path("/sys/fs/cgroup")

log = logging.getLogger(__name__)


class ContainerRunner:
    """Run a host's program as a container.

    Parameters
    ----------
    settings : Settings
        For the engine, and the data folder, by which its containers are told from those of other Clarys.
    """

    name: ClassVar[str] = "container"

    def __init__(self, settings: Settings) -> None:
        self._docker = service.connect(settings)
        self._podman = service.podman() if service.is_own(settings) else ()
        self._data = hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]

    def prepare(self, home: Path, spec: RunSpec, host: str, binds: tuple[tuple[str, str], ...] = ()) -> None:
        """Do nothing: a container is made whole."""

    def withdraw(self) -> None:
        """Do nothing."""

    def start(
        self, home: Path, spec: RunSpec, host: str, program: Program, *, stdout: int, stderr: int
    ) -> Running:
        """Start `program` as `host` of the run.

        Raises
        ------
        SetupError
            The engine does not answer, or cannot run containers here.
        CustomerError
            The image has no such program, or is not here.
        """
        (home / "ml").mkdir(parents=True, exist_ok=True)
        try:
            sweep(self._docker, self._data)
            network = _network.joined(
                self._docker,
                home,
                spec,
                host,
                isolated=not program.network,
                is_entered=_doors.can_open(),
                data=self._data,
            )
            return self._started(home, spec, host, program, network, stdout, stderr)
        except DockerError as error:
            text = f"The container of {program.image} cannot be started: {error}"
            if any(words in str(error) for words in NO_PROGRAM):
                raise CustomerError(text) from error
            raise SetupError(text) from error

    def _started(
        self,
        home: Path,
        spec: RunSpec,
        host: str,
        program: Program,
        network: Network,
        stdout: int,
        stderr: int,
    ) -> "ContainerRunning":
        labels = {
            _creation.RUN: spec.run_id,
            _creation.HOST: host,
            _creation.AGENT: linux.stamp(os.getpid()),
            _creation.DATA: self._data,
        }
        name = _creation.name_of(home, spec)
        self._docker_remove(name)
        gpus = _gpus.request_of(gpus_of(home), service.engine(self._docker)) if spec.size.gpus else {}
        made = _creation.document(program, home, spec, host, network, labels, gpus)
        self._docker.ask("POST", "/containers/create", made, name=name)
        own = _network.name_of(spec) if network.mode == _network.name_of(spec) else ""
        running = ContainerRunning(self._docker, name, spec, own, self._podman)
        try:
            running.attach(stdout, stderr)
            running.begin(program, network)
        except BaseException:
            running.close()
            raise
        (home / "program").write_text(linux.stamp(running.pid))
        return running

    def _docker_remove(self, name: str) -> None:
        with contextlib.suppress(DockerError):
            self._docker.ask("DELETE", f"/containers/{name}", force=1, v=1)


class ContainerRunning:
    """A container that was started."""

    def __init__(
        self, docker: Docker, name: str, spec: RunSpec, network: str, podman: tuple[str, ...] = ()
    ) -> None:
        self.pid = 0
        self.address = ""
        """Where it answers, for those that serve."""
        self._docker = docker
        self._name = name
        self._spec = spec
        self._network = network
        self._doors = _doors.Doors()
        self._exit: Exit | None = None
        self._over = threading.Event()
        self._is_killed = self._is_closed = False
        self._guard: subprocess.Popen[bytes] | None = _guarded(docker, name, network, podman)
        self._reader: threading.Thread | None = None

    def attach(self, stdout: int, stderr: int) -> None:
        """Take what it will write."""
        out, err = os.dup(stdout), os.dup(stderr)
        is_attached = threading.Event()
        self._reader = threading.Thread(
            target=self._follow, args=(out, err, is_attached), name="container", daemon=True
        )
        self._reader.start()
        is_attached.wait(30.0)

    def begin(self, program: Program, network: Network) -> None:
        """Start it, and open its doors."""
        self._docker.ask("POST", f"/containers/{self._name}/start")
        found = self._docker.ask("GET", f"/containers/{self._name}/json")
        self.pid = int(found["State"].get("Pid") or 0)
        self.address = owned(address_of(found, network), self.pid)
        if program.network and network.mode != "host" and self.pid and _doors.can_open():
            with contextlib.suppress(OSError):  # it has ended already
                self._doors.open(self.pid, _doors.wanted(self._spec.objects.get("endpoint", "")))

    def _follow(self, out: int, err: int, is_attached: threading.Event) -> None:
        """Copy what it writes until it has ended, then take its exit code."""
        pause_s, has_begun = FIRST_LOOK_S, False
        try:
            while self._exit is None and not self._is_closed:
                if not has_begun or pause_s > LONGEST_LOOK_S / 2:  # first, and where the line broke
                    self._copy(out, err, is_attached)
                    has_begun, pause_s = True, FIRST_LOOK_S
                self._exit = self._look()
                if self._exit is None:
                    time.sleep(pause_s)
                    pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)
        finally:
            is_attached.set()
            os.close(out)
            os.close(err)
            self._over.set()

    def _copy(self, out: int, err: int, is_attached: threading.Event) -> None:
        def write(is_error: bool, piece: bytes) -> None:
            with contextlib.suppress(BrokenPipeError):
                _write_all(err if is_error else out, piece)

        path = f"/containers/{self._name}/attach"
        try:
            with self._docker.opened("POST", path, stream=1, stdout=1, stderr=1) as answer:
                is_attached.set()
                stream.copy(answer, write)
        except (DockerError, OSError, http.client.HTTPException) as error:
            if not self._is_closed:
                log.debug("the stream of %s ended: %s", self._name, error)
        finally:
            is_attached.set()  # or cannot be: what comes next says why

    def _look(self) -> Exit | None:
        """Return how it ended, where it has."""
        try:
            state = self._docker.ask("GET", f"/containers/{self._name}/json")["State"]
        except DockerError as error:
            return Exit(signal="SIGKILL") if error.status == 404 else None  # removed by somebody else
        if state.get("Status") in {"created", "configured", "initialized"} or state.get("Running"):
            return None
        code = int(state.get("ExitCode") or 0)
        # on cgroups of version 1, Podman does not say so; nothing else inside can kill the first process
        is_starved = bool(state.get("OOMKilled")) or (code == KILLED and not self._is_killed)
        return Exit(code=code, is_out_of_memory=is_starved and code != 0)

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end."""
        self._over.wait(timeout_s)
        return self._exit

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process, as the service does."""
        if self._exit is None:
            with contextlib.suppress(DockerError):
                self._docker.ask("POST", f"/containers/{self._name}/kill", signal=signal.Signals(number).name)

    def kill(self) -> None:
        """Kill the container."""
        self._is_killed = True
        self.signal(signal.SIGKILL)

    def memory_bytes(self) -> int:
        """Return what the container uses now."""
        return memory_of(self.pid) if self._exit is None and self.pid else 0

    def close(self) -> None:
        """Remove it and its network, and let the guard go."""
        if self._is_closed:
            return
        self._is_killed = True
        try:
            self._docker.ask("DELETE", f"/containers/{self._name}", force=1, v=1)
            if self._network:
                _network.remove(self._docker, self._spec)
        except DockerError as error:
            if error.status != 404:
                log.warning("%s is not removed: %s", self._name, error)
                return  # the guard does it when this agent is gone
        finally:
            self._is_closed = True
            self._doors.close()
            if self._reader is not None:
                self._reader.join(10.0)
            if self._exit is None:
                self._exit = Exit(signal="SIGKILL")
            self._over.set()
        _let_go(self._guard)


def address_of(found: dict[str, Any], network: Network) -> str:
    """Return where a container answers, as the engine's description of it tells."""
    settings = found.get("NetworkSettings") or {}
    if network.is_published:
        ports = (settings.get("Ports") or {}).get(f"{_creation.PORT}/tcp") or [{}]
        return f"http://127.0.0.1:{ports[0].get('HostPort', '')}"
    own = (settings.get("Networks") or {}).get(network.mode) or {}
    address = own.get("IPAddress") or settings.get("IPAddress") or "127.0.0.1"
    return f"http://{address}:{_creation.PORT}"


def owned(address: str, pid: int) -> str:
    """Return an address with the stamp of the process whose it is, as `invocations.is_owner_alive` reads it.

    What the engine gives to another container later has the same address and another stamp.
    """
    started = linux.start_time(pid) if linux.IS_LINUX and pid else None
    return f"{address}#{pid}.{started}" if started else address


def sweep(docker: Docker, data: str) -> None:
    """Remove containers of agents that are gone and whose guard is, too: the machine was down."""
    labelled = json.dumps({"label": [f"{_creation.DATA}={data}"]})
    for each in docker.ask("GET", "/containers/json", all=1, filters=labelled) or ():
        agent = (each.get("Labels") or {}).get(_creation.AGENT, "")
        if not _is_alive(agent):
            with contextlib.suppress(DockerError):
                docker.ask("DELETE", f"/containers/{each['Id']}", force=1, v=1)


def _is_alive(agent: str) -> bool:
    """Return whether the process of a stamp is there; of none, yes."""
    pid, _, started = agent.partition(" ")
    return not pid.isdecimal() or linux.start_time(int(pid)) == int(started or 0)


def memory_of(pid: int) -> int:
    """Return the memory of the group that a process is in; 0 where it cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if "memory" in kinds.split(","):
                return int((_CGROUP / "memory" / path.lstrip("/") / "memory.usage_in_bytes").read_text())
            if not kinds and (group := _CGROUP / path.lstrip("/") / "memory.current").exists():
                return int(group.read_text())
    return 0


def _guarded(docker: Docker, name: str, network: str, podman: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - this package
        [sys.executable, "-I", "-S", str(_guard.__file__), docker.url, name, network, *podman],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _let_go(guard: "subprocess.Popen[bytes] | None") -> None:
    if guard is not None:
        with contextlib.suppress(OSError):
            guard.communicate(b"done")


def _write_all(descriptor: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
