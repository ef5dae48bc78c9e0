"""A node of the cluster: what its keeper, one actor a node, does with the hosts there. Nothing imports Ray.

<node folder>/<Clary's name>/ zygote.pid, runs/<run id>/ as on any machine (`compute/run.py`)
                              hosts/<host>/keeper: whose host it is

Life of a host
1. Every host of the gang has its place; `begin` makes the folder and starts the agent, once.
2. `news` answers as soon as something has changed.
3. Every sixth of the lease the head is asked whether this node still belongs to the cluster. The guard hears
   of each good answer, and without one ends the node's agents in time.
4. `clear` ends what is left and removes the folder.
"""

import contextlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clary import __version__
from clary.compute import linux, zygote
from clary.compute.base import RESIDENT, Outcome, RunSpec
from clary.compute.cluster import guard
from clary.compute.cluster.gate import Gate
from clary.compute.cluster.line import Far, Line
from clary.compute.run import Run, remove
from clary.compute.runners.process import SLOTS
from clary.compute.starting import AGENT, start_agent
from clary.compute.watch import Watch
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

NEWS_S = 20.0
"""How long a question for news stays open."""
RENEWALS = 6
"""Of a lease, while all is well."""
LOOK_EVERY_S = 1.0
LONELY_S = 900.0
"""Without a host, and without anybody who asks for news, until a keeper ends: nobody is left whose it is."""
_NOT_OURS = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""What Ray sets for its own workers."""

log = logging.getLogger(__name__)


def settings_of(address: str, name: str) -> Settings:
    """Return the settings of the node at `address` for the Clary called `name`."""
    given = Settings.load()
    folder = Path(given.node_dir).expanduser() if given.node_dir else Path.home() / ".clary/nodes" / address
    return Settings.load(data_dir=folder / name)


class Keeper:
    """Keeps the hosts of one node.

    Parameters
    ----------
    name : str
        Of the Clary whose runs they are: several may share a cluster.
    address : str
        Of this node, as others reach it.
    belongs : callable
        Asks the cluster's head whether this node belongs to it; may block, may raise.
    lease_s : float
        How long hosts go on without a good answer.
    raylet : int
        Process with which the node ends.
    n_gpus : int
        GPUs that the node has for the cluster.
    is_warm : bool
        Whether a zygote is there before the first host.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str,
        belongs: Callable[[], bool],
        lease_s: float,
        raylet: int,
        n_gpus: int = 0,
        is_warm: bool = True,
    ) -> None:
        for each in _NOT_OURS:
            os.environ.pop(each, None)
        _rise()
        self._address, self._belongs, self._lease_s = address, belongs, lease_s
        self._settings = settings_of(address, name)
        self._runs: dict[tuple[str, str], Run] = {}
        self._children: set[int] = set()
        self._all_gpus = visible_gpus(raylet, n_gpus)
        self._gpus: dict[tuple[str, str], tuple[int, ...]] = {}
        self._line: Line | None = None
        self._gate: Gate | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._n_changes = 0
        self._told: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        self._asked_at = time.monotonic()
        self._watch = Watch()
        self._mark = secrets.token_hex(8)
        self._settings.runs_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        _clear_up(self._settings.runs_dir)
        self._guard = self._spawn_guard(raylet)
        for work in (*([self._warm] if is_warm else ()), self._renew, self._look):
            threading.Thread(target=work, name=f"keeper{work.__name__}", daemon=True).start()

    def where(self) -> dict[str, Any]:
        """Return the node's address, its Clary, and the hosts that are here."""
        with self._lock:
            return {"address": self._address, "version": __version__, "hosts": sorted(self._runs)}

    def begin(self, run_id: str, host: str, order: Mapping[str, Any]) -> None:
        """Start a host's agent, once.

        Parameters
        ----------
        order : mapping
            `spec`, the run's; `addresses` of its hosts, where they are on several nodes; `far`, where the
            line leads; `agent`, a command instead of the usual one; `uses_zygote`.
        """
        key = (run_id, host)
        with self._lock:
            if key in self._runs:
                return
            spec = self._led(RunSpec.from_json(order["spec"]), order.get("far"))
            run = self._placed(spec, order.get("addresses") or {})
            home = run.home(host)
            (home / "keeper").write_text(self._mark)
            self._give_gpus(key, run)
            if spec.kind in RESIDENT:
                self._gate = self._gate or Gate(self._settings.runs_dir, self._address)
                self._gate.lead_to(home)
            self._watch.folder(home, run_id)
            agent = order.get("agent") or AGENT
            uses_zygote = bool(order.get("uses_zygote", True))
            pid, is_child = start_agent(self._settings, run, host, agent, uses_zygote=uses_zygote)
            if is_child:
                self._children.add(pid)
            self._watch.process(pid, run_id)
            self._runs[key] = run
        self._watch.wake()

    def news(self, seen: int) -> dict[str, Any]:
        """Return how those hosts stand that changed since `seen`, as soon as one has; else none, later."""
        with self._changed:
            self._changed.wait_for(lambda: self._n_changes > seen, NEWS_S)
            self._asked_at = time.monotonic()
            hosts = [
                {"run": run, "host": host, **told}
                for (run, host), (n, told) in self._told.items()
                if n > seen
            ]
            return {"n": self._n_changes, "hosts": hosts}

    def stop(self, run_id: str, host: str, outcome: str, grace_s: float) -> None:
        """Ask an agent to end its program."""
        run = self._runs.get((run_id, host))
        if run is not None:
            run.ask_to_stop(Outcome(outcome), grace_s)

    def clear(self, run_id: str, hosts: Sequence[str]) -> None:
        """Kill what is left of hosts, and remove their folders; the run's with the last of them."""
        for host in hosts:
            with self._lock:
                run = self._runs.pop((run_id, host), None)
                self._gpus.pop((run_id, host), None)
            with self._changed:
                self._told.pop((run_id, host), None)
            if run is not None:
                guard.end_host(run.home(host))
                shutil.rmtree(run.home(host), ignore_errors=True)
        with self._lock:
            if not any(name == run_id for name, _ in self._runs):
                self._watch.forget(run_id)
                remove(self._settings.runs_dir / run_id, run_id)

    def leave(self) -> None:
        """End the zygote; whatever else the keeper has ends with it."""
        guard.kill(linux.stamped(self._settings.data_dir / "zygote.pid"))

    def _led(self, spec: RunSpec, far: Mapping[str, Any] | None) -> RunSpec:
        """Return the run with URLs, and an image's name, that hold on this node."""
        if not far:
            return spec
        where = Far(**far)
        if self._line is None or self._line.far != where:
            self._line = Line(where)  # one to an earlier address stays for those who use it
        document = spec.to_json()
        document["report_url"] = self._line.moved(spec.report_url)
        for part in ("environment", "objects"):
            document[part] = {name: self._line.moved(str(each)) for name, each in document[part].items()}
        for runtime in (document["runtime"], *document["request"].get("Runtimes", ())):
            runtime["name"] = self._line.image(runtime["name"])
        return RunSpec.from_json(document)

    def _placed(self, spec: RunSpec, addresses: Mapping[str, str]) -> Run:
        """Make the run's folder, with a number that no other run of this node has."""
        known = next((run for (name, _), run in self._runs.items() if name == spec.run_id), None)
        if known is not None:
            return known
        taken = {run.slot for run in self._runs.values()}
        slot = next(each for each in range(SLOTS) if each not in taken)
        folder = self._settings.runs_dir / spec.run_id
        run = Run(spec, folder, arrived_ns=time.time_ns(), slot=slot, addresses=addresses)
        run.write()
        return run

    def _give_gpus(self, key: tuple[str, str], run: Run) -> None:
        """Write down which GPUs a host has.

        Raises
        ------
        SetupError
            There are not as many: somebody else's work has them, or the node's own are not told by number.
        """
        wanted = run.spec.size.gpus
        taken = {number for numbers in self._gpus.values() for number in numbers}
        free = [number for number in self._all_gpus if number not in taken]
        if wanted > len(free):
            raise SetupError(f"{key[1]} needs {wanted} GPUs, and node {self._address} has {len(free)} free")
        if wanted:
            self._gpus[key] = tuple(free[:wanted])
            (run.home(key[1]) / "gpus").write_text(",".join(map(str, self._gpus[key])))

    # Threads.

    def _warm(self) -> None:
        """Have a zygote; until it is there, agents start cold."""
        try:
            zygote.ensure(self._settings)
        except SetupError as error:
            log.warning("%s", error)
            return
        folder = f"CLARY_DATA_DIR={self._settings.data_dir}".encode()
        for pid in linux.pids():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"clary.compute.zygote" in words and folder in Path(f"/proc/{pid}/environ").read_bytes():
                    (self._settings.data_dir / "zygote.pid").write_text(linux.stamp(pid))
                    return

    def _spawn_guard(self, raylet: int) -> "subprocess.Popen[bytes]":
        record = self._settings.data_dir / "zygote.pid"
        words = [str(self._settings.runs_dir), self._mark, str(self._lease_s), str(raylet), str(record)]
        return subprocess.Popen(  # noqa: S603 - this interpreter, this file
            [sys.executable, "-I", "-S", str(guard.__file__), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _renew(self) -> None:
        """Tell the guard of every good answer: with the moment of the question, which was the earlier one."""
        assert self._guard.stdin is not None
        while True:
            asked_at = time.monotonic()
            with contextlib.suppress(Exception):  # of whatever kind: there was no good answer
                if self._belongs():
                    self._guard.stdin.write(f"{asked_at}\n".encode())
                    self._guard.stdin.flush()
            time.sleep(self._lease_s / RENEWALS)

    def _look(self) -> None:
        """Wait for hosts to change, and tell."""
        while True:
            for pid in list(self._children):
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        self._children.discard(pid)
            with self._lock:
                runs = list(self._runs.items())
                if not runs and time.monotonic() > self._asked_at + LONELY_S:
                    self.leave()
                    os._exit(0)
            for key, run in runs:
                self._tell(key, _seen(run, key[1]))
            self._watch.wait(LOOK_EVERY_S)

    def _tell(self, key: tuple[str, str], seen: dict[str, Any]) -> None:
        with self._changed:
            if key in self._runs and (key not in self._told or self._told[key][1] != seen):
                self._n_changes += 1
                self._told[key] = (self._n_changes, seen)
                self._changed.notify_all()


def visible_gpus(raylet: int, n_gpus: int) -> tuple[int, ...]:
    """Return the numbers of a node's GPUs: those that Ray was started with, else all from 0 on.

    None where they were told by anything but numbers, by which nobody here knows them.
    """
    try:
        given = Path(f"/proc/{raylet}/environ").read_bytes().split(b"\0")
    except OSError:
        given = []
    for each in given:
        name, _, value = each.partition(b"=")
        if name == b"CUDA_VISIBLE_DEVICES":
            words = [word for word in value.decode().split(",") if word]
            return tuple(map(int, words))[:n_gpus] if all(map(str.isdecimal, words)) else ()
    return tuple(range(n_gpus))


def _rise() -> None:
    """Be as important as others, and so whatever is started here: Ray's workers give way to all, by 15."""
    for task in Path("/proc/self/task").iterdir() if linux.IS_LINUX else ():
        with contextlib.suppress(OSError):  # root alone may; `RAY_worker_niceness=0` has the same for all
            os.setpriority(os.PRIO_PROCESS, int(task.name), 0)


def _seen(run: Run, host: str) -> dict[str, Any]:
    """Return how a host stands; the agent is looked for first, else one that just ends seems lost."""
    is_live = run.agent(host) is not None
    result = run.result(host)
    phase, address = run.progress(host)
    return {
        "live": is_live,
        "phase": phase.value,
        "address": address,
        "result": result.to_json() if result is not None else None,
    }


def _clear_up(runs: Path) -> None:
    """End and remove what a keeper before this one had."""
    for folder in list(runs.iterdir()):
        for home in folder.glob("hosts/*"):
            guard.end_host(home)
        remove(folder, folder.name)
