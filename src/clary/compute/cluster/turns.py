"""Whose turn it is: for which of the runs that wait the cluster is asked now.

the first  of those for which the cluster has nodes, in order of arrival: until it has its places
a younger  where it fits and the first does not, in the first's first minute: one at a time

After that minute nothing younger passes: what becomes free is for the first, and so nobody starves. It may
then wait for what has passed it, as for all that ran before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clary.compute.cluster.remote import MIB, RemoteRun

PASS_S = 60.0
"""How long the first lets others pass."""
GANG = "clary_gang"
"""Resource of nodes that take so many hosts of jobs of several hosts at once: they share the node's ports."""

Nodes = Sequence[Mapping[str, Any]]
Room = Mapping[str, Mapping[str, float]]
"""What is free, by node and resource."""


def room_of(nodes: Nodes, runs: Iterable[RemoteRun]) -> Room:
    """Return what nodes have beside the runs that were given places; what others have is not known here."""
    room = {each["id"]: dict(each["resources"]) for each in nodes}
    for run in runs:
        if run.is_started and not run.is_ended:
            size = run.spec.size
            place = {"GPU": float(size.gpus)}
            if not run.is_resident:
                place |= {"CPU": float(size.cpus), "memory": float(size.memory_mib * MIB)}
            if run.is_spread:
                place[GANG] = 1.0
            for node in run.nodes().values():
                for name, amount in place.items():
                    if name in room.get(node, ()):
                        room[node][name] -= amount
    return room


def fits(run: RemoteRun, nodes: Nodes, room: Room) -> bool:
    """Return whether there is room for all hosts of a run, as its places would be asked for."""
    place = {name: amount * run.n_packed for name, amount in run.wanted(nodes).items()}
    if run.is_spread and any(GANG in each["resources"] for each in nodes):
        place[GANG] = 1.0
    n_fit = sum(all(free.get(name, 0.0) >= each for name, each in place.items()) for free in room.values())
    return n_fit >= (len(run.spec.hosts) if run.is_spread else 1)


def due(line: Sequence[RemoteRun], nodes: Nodes, room: Room, now: float) -> list[RemoteRun]:
    """Return the runs to ask for now: the first, and one that passes it.

    Parameters
    ----------
    line : sequence of RemoteRun
        Who waits, in order of arrival.
    nodes : sequence of mapping
        Nodes of the cluster that are alive.
    room : mapping
        What is free on those that can be begun at.
    now : float
        By the monotonic clock.
    """
    able = [run for run in line if run.could_start(nodes)]
    if not able:
        return []
    first, *younger = able
    if first.first_at is None:
        first.first_at = now
    if now >= first.first_at + PASS_S or fits(first, nodes, room):
        return [first]
    asked = next((run for run in younger if run.is_seating), None)
    passing = asked or next((run for run in younger if fits(run, nodes, room)), None)
    return [first, passing] if passing else [first]
