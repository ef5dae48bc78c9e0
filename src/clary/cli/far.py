"""Hosts on the nodes of a cluster, as the data folder mirrors them: they, too, outlive the platform."""

import threading
import time

from clary.cli.agents import Agent
from clary.compute.base import Outcome
from clary.compute.cluster.link import CONNECT_S, Event, Link, check
from clary.compute.cluster.names import namespace, remembered
from clary.compute.cluster.remote import RemoteRun
from clary.kernel.settings import Settings

KILL_S = 2.0
"""For the nodes to kill what did not end when it was asked to."""
LOOK_EVERY_S = 0.1


def alive(settings: Settings) -> list[Agent]:
    """Return the hosts that live on nodes, as far as the cluster has told; they have no pid here."""
    return [
        Agent(
            run_id=run.spec.run_id,
            host=host,
            kind=run.spec.kind.value,
            name=run.spec.name,
            folder=run.home(host),
            pid=0,
            since="",
        )
        for run in _runs(settings)
        for host in _hosts(run)
    ]


def wait(settings: Settings, within_s: float, *, but: str = "") -> bool:
    """Wait until no host lives but those of one kind; say whether that came."""
    until = time.monotonic() + within_s
    while any(each.kind != but for each in alive(settings)):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def end(settings: Settings, grace_s: float) -> None:
    """Have the cluster end what lives there; the platform has stopped, and this speaks for it.

    Raises
    ------
    SetupError
        There is no Ray here, or nothing says where the cluster is.
    """
    check(remembered(settings).cluster)
    ending = _Ending(settings, grace_s)
    try:
        ending.link.start()
        if ending.has_connected.wait(CONNECT_S) and not wait(settings, grace_s):
            ending.kill()
    finally:
        ending.link.close()


class _Ending:
    """Asks each node to end its hosts, and hears of their ends."""

    def __init__(self, settings: Settings, grace_s: float) -> None:
        self._runs = {run.spec.run_id: run for run in _runs(settings)}
        self._asked = {"outcome": Outcome.STOPPED.value, "grace_s": grace_s}
        self.has_connected = threading.Event()
        found = remembered(settings)
        self.link = Link(found, namespace(found), self._hear)

    def _hear(self, event: Event) -> None:
        match event["event"]:
            case "nodes":
                alive = {each["id"] for each in event["nodes"]}
                self._lose({run_host for run_host, node in self._live().items() if node not in alive})
            case "keeper":
                here = {key for key, node in self._live().items() if node == event["node"]}
                there = {(run, host) for run, host in event["hosts"]}
                self._lose(here - there)
                for run, host in here & there:
                    self.link.send("stop", run=run, host=host, node=event["node"], **self._asked)
            case "news" if event["run"] in self._runs:
                self._runs[event["run"]].hear(event["host"], event)
        if event["event"] == "keeper" or not self._live():
            self.has_connected.set()

    def _live(self) -> dict[tuple[str, str], str]:
        return {(name, host): run.node(host) for name, run in self._runs.items() for host in _hosts(run)}

    def _lose(self, hosts: set[tuple[str, str]]) -> None:
        for run, host in hosts:
            self._runs[run].hear(host, {"live": False})

    def kill(self) -> None:
        """Have the nodes kill what is left; they do not tell of what was not to be told any more."""
        left = self._live()
        for (run, host), node in left.items():
            self.link.send("drop", run=run, at={host: node})
        time.sleep(KILL_S)
        self._lose({*left})


def _runs(settings: Settings) -> list[RemoteRun]:
    found = (RemoteRun.read(each) for each in sorted((settings.data_dir / "cluster").glob("[!.]*")))
    return [run for run in found if isinstance(run, RemoteRun) and run.is_started]


def _hosts(run: RemoteRun) -> list[str]:
    return [host for host in run.spec.hosts if run.agent(host)]
