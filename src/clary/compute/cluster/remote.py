"""A run on a cluster, as the control plane's folder mirrors it.

cluster/<run id>/ spec.json, place.json, started
                  hosts/<host>/ node, begun, alive, state.json, stop.json, result.json
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clary.compute.base import RESIDENT, Size
from clary.compute.run import SERVING_MIB, Run, replace_json

MIB = 1 << 20


@dataclass(eq=False)
class RemoteRun(Run):
    """One run whose hosts are elsewhere: `alive` is what the cluster last said of each agent."""

    is_seating: bool = False
    """The cluster has been asked for places."""
    bundle: Mapping[str, float] = field(default_factory=dict)
    """Resources of each place that was asked for."""
    n_asked: int = 0
    """How often it has been: an answer to an earlier question counts for nothing."""
    first_at: float | None = None
    """When it was first of its line, by the monotonic clock."""

    @property
    def is_resident(self) -> bool:
        """Whether it stays until it is stopped: it may start anew elsewhere before its lease is over.

        A job must not run twice, for it writes. A replica only answers, and edges are told of the new one.
        """
        return self.spec.kind in RESIDENT

    @property
    def is_guest(self) -> bool:
        """Whether it goes where there are fewest like it, beside the gangs: it reserves little."""
        return self.is_resident and not self.spec.size.gpus

    @property
    def is_spread(self) -> bool:
        """Whether each host goes to a node of its own.

        Hosts without a network reach each other within one node alone.
        """
        request = self.spec.request
        network = request.get("NetworkConfig") or {}
        is_isolated = (
            request.get("EnableNetworkIsolation")
            or network.get("EnableNetworkIsolation")
            or request.get("network") is False
        )
        return len(self.spec.hosts) > 1 and not is_isolated

    def agent(self, host: str) -> int | None:
        """Return 1 for a host whose agent lives, as far as is known."""
        return 1 if (self.home(host) / "alive").exists() else None

    def node(self, host: str) -> str:
        """Return the node on which a host's agent lives; empty where it does not."""
        try:
            return (self.home(host) / "alive").read_text()
        except OSError:
            return ""

    def nodes(self) -> dict[str, str]:
        """Return the nodes of all hosts that were given places."""
        return {host: (self.home(host) / "node").read_text() for host in self.spec.hosts if self.is_started}

    def has_begun(self, host: str) -> bool:
        """Say whether the node has started the host's agent."""
        return (self.home(host) / "begun").exists()

    def begun(self, host: str) -> None:
        """Write down that it has."""
        (self.home(host) / "begun").touch()

    def kill(self) -> None:
        """Kill nothing here."""

    def seat(self, nodes: Mapping[str, str], addresses: Mapping[str, str]) -> None:
        """Write down that all hosts have their places."""
        self.addresses = addresses if self.is_spread else {}
        self.spec = replace(self.spec, size=self.size())
        for host, node in nodes.items():
            for name in ("node", "alive"):
                (self.home(host) / name).write_text(node)
        self.write()
        (self.folder / "started").touch()
        self.is_started = True

    def hear(self, host: str, news: Mapping[str, Any]) -> None:
        """Write down how a host stands: the result before the agent's end, else it seems lost."""
        home = self.home(host)
        if news.get("result"):
            replace_json(home / "result.json", news["result"])
        if news.get("phase"):
            replace_json(home / "state.json", {"phase": news["phase"], "address": news.get("address")})
        if news.get("live") is False:
            (home / "alive").unlink(missing_ok=True)

    def size(self) -> Size:
        """Return the size that each host has where it was asked for a smaller place."""
        size = self.spec.size
        return replace(
            size,
            cpus=max(1, min(size.cpus, int(self.bundle.get("CPU", size.cpus)))),
            memory_mib=min(size.memory_mib, int(self.bundle.get("memory", size.memory_mib * MIB)) // MIB),
        )

    def could_start(self, nodes: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether the cluster has nodes for all hosts, were nothing else there.

        What could not start lets others pass: only who would be next holds the line (`turns.py`).
        """
        size = self.spec.size
        n_nodes = sum(each["resources"].get("GPU", 0) >= size.gpus * self.n_packed for each in nodes)
        return bool(n_nodes >= (len(self.spec.hosts) if self.is_spread else 1))

    @property
    def n_packed(self) -> int:
        """Return how many hosts go to one node."""
        return 1 if self.is_spread else len(self.spec.hosts)

    def wanted(self, nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return the place to ask for: the instance type's, or the largest that the cluster's nodes have.

        As on one machine a type larger than the machine runs all the same, on what there is.
        """
        size = self.spec.size
        if self.is_resident:
            return {"GPU": float(size.gpus)}
        memory = float(size.memory_mib * MIB)

        def share(node: Mapping[str, float]) -> float:
            return min(1.0, node.get("CPU", 0.0) / size.cpus) * min(1.0, node.get("memory", 0.0) / memory)

        offers = [each["resources"] for each in nodes]
        if size.gpus:
            offers = [each for each in offers if each.get("GPU", 0) >= size.gpus * self.n_packed]
        n = len(self.spec.hosts) if self.is_spread else 1
        part = self.n_packed
        best = sorted(offers, key=share, reverse=True)[:n]
        cpus = min([float(size.cpus), *(each.get("CPU", 0.0) // part for each in best)])
        memory = min([memory, *(each.get("memory", 0.0) // part for each in best)])
        bundle = {"CPU": max(1.0, cpus), "memory": float(int(memory))}
        return bundle | ({"GPU": float(size.gpus)} if size.gpus else {})


def roomiest(
    run: RemoteRun, others: Iterable[RemoteRun], nodes: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the node for a guest: with room, the fewest of the same endpoint, then the fewest of all.

    None where no node has room: as on one machine, what jobs reserve is not counted.
    """
    there: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    for other in others:
        if other.is_resident and other.is_started and not other.is_ended:
            for node in filter(None, map(other.node, other.spec.hosts)):
                there[node] += 1
                alike[node] += other.spec.arn == run.spec.arn

    def has_room(node: Mapping[str, Any]) -> bool:
        reserved = (there[node["id"]] + 1) * SERVING_MIB * MIB
        return reserved <= float(node["resources"].get("memory", 0.0))

    return min(
        filter(has_room, nodes),
        key=lambda node: (alike[node["id"]], there[node["id"]], node["id"]),
        default=None,
    )
