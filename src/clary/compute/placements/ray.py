"""A Ray cluster: jobs are gang-scheduled on its nodes, endpoints' replicas spread over them.

launch ─┬▶ job: queue ─▶ placement group ─────┬▶ keepers of the nodes ─▶ agents ─▶ mirrored folder ─▶ poll
        └▶ replica: the node with the fewest ─┘
Notebooks, and replicas with an accelerator, run on this machine: their data, and what they share, lie here.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from clary import __version__
from clary.compute.base import Outcome, RunKind, RunPhase, RunSpec, RunState
from clary.compute.cluster import turns
from clary.compute.cluster.link import Event, Link, check
from clary.compute.cluster.names import far_of, name_of, namespace, offer_gpus, offered_gpus, remember
from clary.compute.cluster.remote import MIB, RemoteRun, roomiest
from clary.compute.placements.local import LocalPlacement
from clary.compute.run import remove
from clary.kernel.errors import ResourceLimitExceeded
from clary.kernel.settings import Settings

KEEPERS_NS = 10 * 10**9
"""How long a replica waits for nodes whose keepers have not answered yet."""

log = logging.getLogger(__name__)


class RayPlacement:
    """Hosts of jobs on the nodes of a Ray cluster.

    Parameters
    ----------
    settings : Settings
        `cluster` says where it is.
    on_change : callable, optional
        Called with the run's id, from a thread of the placement, after a host's phase changed.
    agent : sequence of str, optional
        Command of an agent on the nodes, without the host's folder.
    uses_zygote : bool
        Whether agents are forked from a zygote of the node.

    Notes
    -----
    Places of jobs are asked for in order of arrival. While the first does not fit, one that does may pass it,
    but for a minute only: large ones do not starve (`cluster/turns.py`).
    Replicas do not wait behind jobs, and take no room from them. A job's host whose node is gone is lost only
    when its lease is over: by then its agent has ended, wherever it is. A replica is replaced at once.
    """

    name: ClassVar[str] = "ray"

    def __init__(
        self,
        settings: Settings,
        on_change: Callable[[str], None] | None = None,
        *,
        agent: Iterable[str] | None = None,
        uses_zygote: bool = True,
    ) -> None:
        check(settings.cluster)
        self._settings = settings
        self._on_change = on_change or (lambda _: None)
        self._agent = list(agent) if agent else None
        self._uses_zygote = uses_zygote
        given = {"agent": self._agent} if self._agent else {}
        self._here = LocalPlacement(settings, on_change, uses_zygote=uses_zygote, **given)
        self._runs: dict[str, RemoteRun] = {}
        self._lock = threading.RLock()
        self._nodes: Sequence[Mapping[str, Any]] = ()
        self._keepers: dict[str, dict[str, str]] = {}
        self._is_connected = threading.Event()
        self._connected_ns = 0
        self._losses: dict[tuple[str, str], float] = {}
        self._forsaken: set[str] = set()
        """Names of control planes that are lost, until the cluster has heard of it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remember(settings)
        self._adopt()
        self._link = Link(settings, namespace(settings), self._hear, is_warm=uses_zygote)
        self._link.start()
        self._end = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="placement-ray", daemon=True)
        self._clock.start()

    @property
    def folder(self) -> Path:
        """Folder of the mirrored runs."""
        return self._settings.data_dir / "cluster"

    @property
    def usable_mib(self) -> int:
        """Memory of the largest node; waits for the cluster."""
        self._is_connected.wait(60.0)
        return max((int(each["resources"].get("memory", 0)) // MIB for each in self._nodes), default=0)

    def launch(self, spec: RunSpec) -> None:
        """Write the run down and queue it."""
        if spec.kind is RunKind.NOTEBOOK or spec.request.get("AcceleratorType"):
            self._here.launch(spec)
            return
        run = RemoteRun(spec, self.folder / spec.run_id, arrived_ns=time.time_ns(), slot=0)
        self._check_gpus(run)
        with self._lock:
            if spec.run_id in self._runs:
                return
            run.write()
            self._runs[spec.run_id] = run
        self._seat_next()

    def _check_gpus(self, run: RemoteRun) -> None:
        """Refuse what no node of this cluster has ever had; what one had may come back with it."""
        wanted = run.spec.size.gpus * run.n_packed
        if wanted > (offered_gpus(self._settings) or 0) and self._is_connected.wait(30.0):
            most = offered_gpus(self._settings) or 0
            if wanted > most:
                hosts, need = (f"{run.n_packed} hosts", "need") if run.n_packed > 1 else ("a host", "needs")
                raise ResourceLimitExceeded(
                    f"{hosts} of {run.spec.instance_type} {need} {wanted} GPUs; the largest node has {most}"
                )

    def poll(self, run_id: str) -> RunState:
        """Read how the hosts stand, as far as the cluster has told."""
        run = self._runs.get(run_id)
        return self._here.poll(run_id) if run is None else run.state()

    def stop(self, run_id: str, *, outcome: Outcome = Outcome.STOPPED, grace_s: float = 120.0) -> None:
        """Ask every host to end."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                run.ask_to_stop(outcome, grace_s)
                if not run.is_started:
                    run.end(outcome, RunPhase.QUEUED)
                    self._drop(run)
                for host in run.spec.hosts if run.is_started else ():
                    self._ask_to_stop(run, host)
        if run is None:
            self._here.stop(run_id, outcome=outcome, grace_s=grace_s)
        else:
            self._changed(run)
            self._seat_next()

    def discard(self, run_id: str) -> None:
        """Have the nodes kill what is left, and remove the folder in the background."""
        with self._lock:
            run = self._runs.pop(run_id, None)
            if run is not None:
                self._drop(run)
                trash = self.folder / f".trash-{run_id}-{time.time_ns()}"
                with contextlib.suppress(OSError):
                    run.folder.rename(trash)
                threading.Thread(target=remove, args=(trash, run_id), daemon=True).start()
        if run is None:
            self._here.discard(run_id)
        else:
            self._seat_next()

    def forsake(self, node: str) -> None:
        """Have the keepers of a lost control plane end all they have, as soon as the cluster answers."""
        with self._lock:
            self._forsaken.add(name_of(node))
            self._link.send("forsake", name=name_of(node))

    def close(self) -> None:
        """Let go of the cluster; the runs go on."""
        self._end.set()
        self._clock.join()
        self._link.close()
        self._here.close()

    # The queue.

    def _seat_next(self) -> None:
        """Place what waits: every replica for which there is room, of jobs those whose turn it is."""
        with self._lock:
            waiting = [run for run in self._runs.values() if not (run.is_started or run.is_ended)]
            if not self._keepers or not waiting:
                return
            waiting.sort(key=lambda run: run.arrived_ns)
            nodes = [each for each in self._nodes if each["id"] in self._keepers]
            patient_ns = 0 if len(nodes) == len(self._nodes) else time.time_ns() - KEEPERS_NS
            for run in (run for run in waiting if run.is_guest):
                if patient_ns and max(run.arrived_ns, self._connected_ns) > patient_ns:
                    continue  # else all would go to the first node whose keeper answers
                node = roomiest(run, self._runs.values(), nodes)
                if node is not None:
                    run.bundle = node["resources"]
                    self._seated(run, [node["id"]])
            jobs = [run for run in waiting if not run.is_guest]
            room = turns.room_of(nodes, self._runs.values()) if jobs else {}
            for line in ([run for run in jobs if run.is_resident is each] for each in (False, True)):
                due = turns.due(line, self._nodes, room, time.monotonic())
                for run in line:
                    if run.is_seating and run not in due:
                        self._call_back(run)
                for run in due:
                    if not run.is_seating:
                        self._ask_for_places(run)

    def _ask_for_places(self, run: RemoteRun) -> None:
        run.is_seating, run.bundle, run.n_asked = True, run.wanted(self._nodes), run.n_asked + 1
        given = {"n": len(run.spec.hosts), "bundle": run.bundle, "is_spread": run.is_spread}
        self._link.send("seat", run=run.spec.run_id, turn=run.n_asked, **given)

    def _call_back(self, run: RemoteRun) -> None:
        """Ask no more for a run's places."""
        self._link.send("drop", run=run.spec.run_id, at={})
        run.is_seating = False

    def _drop(self, run: RemoteRun) -> None:
        """End what the run has in the cluster, and free its places."""
        run.is_ended, run.is_seating = True, False
        self._link.send("drop", run=run.spec.run_id, at=run.nodes())
        for host in run.spec.hosts:
            self._losses.pop((run.spec.run_id, host), None)

    def _begin(self, run: RemoteRun, host: str) -> None:
        order = {
            "spec": run.spec.to_json(),
            "addresses": run.addresses,
            "far": far_of(self._settings),
            "agent": self._agent,
            "uses_zygote": self._uses_zygote,
        }
        self._link.send("begin", run=run.spec.run_id, host=host, node=run.node(host), order=order)
        self._ask_to_stop(run, host)

    def _ask_to_stop(self, run: RemoteRun, host: str) -> None:
        """Pass on that a host is to end, where somebody has asked for that."""
        with contextlib.suppress(OSError, ValueError):
            asked = json.loads((run.home(host) / "stop.json").read_text())
            self._link.send("stop", run=run.spec.run_id, host=host, node=run.node(host), **asked)

    # What the cluster tells.

    def _hear(self, event: Event) -> None:
        kind, run = event["event"], self._runs.get(str(event.get("run")))
        with self._lock:
            if kind == "connected":
                self._connected()
            elif kind == "groups":
                self._drop_unknown(event["groups"])
            elif kind == "nodes":
                self._look_at_nodes(event["nodes"])
            elif kind == "keeper":
                self._found_keeper(event)
            elif kind == "unkept":
                self._lose_node(event["node"], event["why"])
            elif kind == "forsaken":
                self._forsaken.discard(event["name"])
            elif kind in {"away", "lost"}:
                log.warning("the cluster cannot be reached: %s", event.get("why", "its driver has ended"))
            elif run is not None and not run.is_ended:
                self._hear_of(run, event)
        if kind != "news":
            self._seat_next()

    def _hear_of(self, run: RemoteRun, event: Event) -> None:
        match event["event"]:
            case "seated" if run.is_seating and event["turn"] == run.n_asked:
                self._seated(run, event["nodes"])
            case "begun":
                run.begun(event["host"])
            case "news":
                run.hear(event["host"], event)
                self._look(run)
            case "gone":
                self._lose(run, event["host"], event["why"])

    def _connected(self) -> None:
        """Take up everything anew, whatever a driver before this one was told."""
        self._keepers.clear()
        self._connected_ns = time.time_ns()
        for run in self._runs.values():
            run.is_seating = False
        for name in self._forsaken:
            self._link.send("forsake", name=name)

    def _drop_unknown(self, groups: Sequence[str]) -> None:
        """Free the places of runs that ended while nobody could tell the cluster."""
        for name in groups:
            if name not in self._runs or self._runs[name].is_ended:
                self._link.send("drop", run=name, at={})

    def _look_at_nodes(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Lose the hosts whose nodes are gone, and see whether who waits now fits elsewhere."""
        self._nodes = nodes
        offer_gpus(self._settings, int(max((each["resources"].get("GPU", 0) for each in nodes), default=0)))
        self._is_connected.set()
        alive = {each["id"] for each in nodes}
        for run in self._runs.values():
            for host in run.spec.hosts if run.is_started and not run.is_ended else ():
                if run.node(host) and run.node(host) not in alive:
                    self._lose(run, host, "its node is gone")
        self._fit_again()

    def _found_keeper(self, event: Event) -> None:
        """Compare what a node has with what it should have."""
        node = event["node"]
        self._keepers[node] = {"address": event["address"], "version": event["version"]}
        there = {(run, host) for run, host in event["hosts"]}
        for run_id, host in there:
            run = self._runs.get(run_id)
            if run is None or run.is_ended or run.node(host) != node:
                self._link.send("drop", run=run_id, at={host: node})
        for run in self._runs.values():
            for host in run.spec.hosts if run.is_started and not run.is_ended else ():
                if run.node(host) != node:
                    continue
                if (run.spec.run_id, host) in there:
                    run.begun(host)
                    self._ask_to_stop(run, host)
                elif run.has_begun(host):
                    self._lose(run, host, "its keeper was lost")
                else:
                    self._begin(run, host)

    def _lose_node(self, node: str, why: str) -> None:
        for run in self._runs.values():
            for host in run.spec.hosts if run.is_started and not run.is_ended else ():
                if run.node(host) == node:
                    self._lose(run, host, why)

    def _lose(self, run: RemoteRun, host: str, why: str) -> None:
        """Give a host up: a job's when its lease is over, for till then its agent may live somewhere."""
        if (run.spec.run_id, host) not in self._losses:
            log.warning("%s of run %s is lost: %s", host, run.spec.run_id, why)
            lease_s = 0.0 if run.is_resident else self._settings.cluster_lease_s
            self._losses[run.spec.run_id, host] = time.monotonic() + lease_s

    def _seated(self, run: RemoteRun, nodes: Sequence[str]) -> None:
        """All hosts have their places: they begin."""
        run.is_seating = False
        at = dict(zip(run.spec.hosts, nodes, strict=True))
        run.seat(at, {host: self._keepers[node]["address"] for host, node in at.items()})
        others = {self._keepers[node]["version"] for node in nodes} - {__version__}
        if others:
            reason = f"a node has Clary {others.pop()}, and this is {__version__}"
            run.end(Outcome.FAILED, RunPhase.STARTING, f"InternalServerError: {reason}")
            self._drop(run)
        for host in () if others else run.spec.hosts:
            self._begin(run, host)
        self._changed(run)

    def _fit_again(self) -> None:
        """Ask anew for the place of a run that waits, where nodes that came or left have changed it."""
        for run in self._runs.values():
            if run.is_seating and run.wanted(self._nodes) != run.bundle:
                self._call_back(run)

    def _look(self, run: RemoteRun) -> None:
        """Tell of a change, and free the places of a run that has ended."""
        is_over = not any(run.agent(host) for host in run.spec.hosts)
        with self._lock:
            if is_over and not run.is_ended:
                self._drop(run)
        self._changed(run)

    def _changed(self, run: RemoteRun) -> None:
        state = run.state()
        if state != run.told and run.spec.run_id in self._runs:
            run.told = state
            try:
                self._on_change(run.spec.run_id)
            except Exception:
                log.exception("on_change failed for run %s", run.spec.run_id)

    def _tick(self) -> None:
        """Give up the hosts whose lease is over."""
        while not self._end.wait(0.25):
            now = time.monotonic()
            for key in [key for key, until in list(self._losses.items()) if until <= now]:
                self._losses.pop(key, None)
                run = self._runs.get(key[0])
                if run is not None:
                    run.hear(key[1], {"live": False})
                    self._look(run)

    # Where things are.

    def _adopt(self) -> None:
        for folder in sorted(self.folder.iterdir()):
            if folder.name.startswith(".trash-"):
                threading.Thread(target=remove, args=(folder, folder.name), daemon=True).start()
                continue
            run = RemoteRun.read(folder)
            if isinstance(run, RemoteRun):
                ended = all(run.result(host) and not run.agent(host) for host in run.spec.hosts)
                run.is_ended = ended
                self._runs[run.spec.run_id] = run
