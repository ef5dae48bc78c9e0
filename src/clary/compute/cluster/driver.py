"""The one file that imports Ray: a process that asks for places, and tells what becomes of hosts in them.

    python -m clary.compute.cluster ADDRESS NAME LEASE_S      orders in, events out: JSON, a line each
                                                    --cold    its keepers have no zygote ready
                                                    --look    tells of the nodes, and ends

| order | does |
| --- | --- |
| `seat` `run` `n` `bundle` `is_spread` `turn` | asks for a placement group, a bundle a host: all or none |
| `begin` `run` `host` `node` `order` | has the keeper of a node start the host's agent |
| `stop` `run` `host` `node` `outcome` `grace_s` | has it asked to end |
| `drop` `run` `at` (host: node) | ends hosts, whatever they do, and gives their places back |
| `forsake` `name` | ends the keepers of another, lost Clary, and all that they have; tells `forsaken` |

Events: `connected`, `nodes` (those alive) every three seconds, `groups` of an earlier life, `keeper` (`node`,
`hosts` that it has), `unkept` (`node`, `why`), `seated` (`run`, `turn`, `nodes`, one a host), `begun`, `news`
and `gone` (`run`, `host`, …), `away` (`why`). An order may be repeated: groups and keepers are found by
their names.

It is a process of its own because Ray's client may end the process it is in, and cannot be trusted to connect
twice. It ends when the cluster cannot be reached, and whoever started it starts another.
"""

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TextIO

import ray
from ray.util import get_node_ip_address
from ray.util.placement_group import (
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clary.compute.cluster.node import Keeper
from clary.compute.cluster.places import AGAIN_S, Places
from clary.compute.cluster.turns import GANG

NODES_EVERY_S = 3.0
"""Between two looks at the nodes: also how soon a lost head is noticed."""
LOOK_EVERY_S = 0.02
"""Between two looks at a group that waits for its places."""
SEAT_S = 20.0
"""How long a question for places stays open."""


class RayKeeper(Keeper):
    """A keeper as Ray's actor."""

    def __init__(self, name: str, lease_s: float, is_warm: bool) -> None:
        node_id = ray.get_runtime_context().get_node_id()
        super().__init__(
            name,
            address=get_node_ip_address(),
            belongs=lambda: any(each["NodeID"] == node_id and each["Alive"] for each in ray.nodes()),
            lease_s=lease_s,
            raylet=os.getppid(),
            is_warm=is_warm,
            n_gpus=sum(int(each["resources"].get("GPU", 0)) for each in nodes() if each["id"] == node_id),
        )

    def seat(self, run: str, n: int, bundle: Mapping[str, float], is_spread: bool) -> list[str]:
        """Ask for places, or look how they are: return the nodes once they are there, else later none.

        Here, in the cluster: of its client each such question would start a worker.
        """
        try:
            group = get_placement_group(run)
        except ValueError:
            has_gangs = GANG in ray.cluster_resources()
            one = {**bundle, GANG: 1.0} if is_spread and has_gangs else dict(bundle)
            strategy = "STRICT_SPREAD" if is_spread else "STRICT_PACK"
            group = placement_group([one] * n, strategy=strategy, name=run, lifetime="detached")
        until = time.monotonic() + SEAT_S
        while time.monotonic() < until:
            found = placement_group_table(group)
            if found["state"] == "CREATED":
                return [found["bundles_to_node_id"][index] for index in range(n)]
            if found["state"] == "REMOVED":
                break
            time.sleep(LOOK_EVERY_S)
        return []

    def free(self, run: str) -> None:
        """Give places back."""
        with contextlib.suppress(ValueError):
            remove_placement_group(get_placement_group(run))

    def forsake(self) -> None:
        """End all hosts of this node, and give all places back."""
        for run, host in self.where()["hosts"]:
            self.clear(run, [host])
        for run in self.groups():
            self.free(run)
        self.leave()

    def groups(self) -> list[str]:
        """Return the runs that have places in this namespace."""
        names = [each["name"] for each in placement_group_table().values() if each["state"] != "REMOVED"]
        return [name for name in names if name and _is_ours(name)]


def _is_ours(name: str) -> bool:
    try:
        get_placement_group(name)
    except ValueError:
        return False
    return True


class Driver:
    """Takes orders and tells events, all from one thread.

    Parameters
    ----------
    tell : callable
        Takes an event.
    name : str
        Of the Clary whose runs these are.
    """

    def __init__(
        self, tell: Callable[[Mapping[str, Any]], None], name: str, lease_s: float, *, is_warm: bool = True
    ) -> None:
        self._tell = tell
        self._name = name
        self._lease_s = lease_s
        self._is_warm = is_warm
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._keepers: dict[str, Any] = {}
        self._sought: set[str] = set()
        """Nodes whose keepers have not answered yet."""
        self._places = Places(self._keepers, self._then, self._later, tell)

    def run(self, orders: TextIO) -> None:
        """Work until the orders end."""
        self._tell({"event": "connected"})
        self._look_at_nodes()
        threading.Thread(target=self._read, args=(orders,), daemon=True).start()
        looked_at = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                work = self._work.get(timeout=max(0.0, looked_at + NODES_EVERY_S - time.monotonic()))
                if work is None:
                    return
                work()
            if time.monotonic() >= looked_at + NODES_EVERY_S:
                looked_at = time.monotonic()
                self._look_at_nodes()

    def _read(self, orders: TextIO) -> None:
        for line in orders:
            order = json.loads(line)
            name = order.pop("do")
            self._work.put(partial(getattr(self, name), **order))
        self._work.put(None)

    # Orders.

    def seat(self, run: str, **asked: Any) -> None:
        """Ask for a place for every host, until they are there or the run is dropped."""
        self._places.seat(run, **asked)

    def begin(self, run: str, host: str, node: str, order: Mapping[str, Any]) -> None:
        """Start the agent."""
        if node not in self._keepers:
            self._gone(run, host, "its node is not in the cluster any more")
            return
        self._then(
            self._keepers[node].begin.remote(run, host, order),
            lambda _: self._tell({"event": "begun", "run": run, "host": host}),
            lambda error: self._gone(run, host, _text(error)),
        )

    def stop(self, run: str, host: str, node: str, outcome: str, grace_s: float) -> None:
        """Ask the agent to end its program; who is gone needs no asking."""
        if node in self._keepers:
            self._then(self._keepers[node].stop.remote(run, host, outcome, grace_s), _nothing, _nothing)

    def drop(self, run: str, at: Mapping[str, str]) -> None:
        """End the hosts; places are free when nothing is left in them."""
        self._places.let_go(run)
        nodes = {node for node in at.values() if node in self._keepers}
        left = set(nodes)

        def cleared(node: str, _: object) -> None:
            left.discard(node)
            if not left:
                self._places.free(run)

        for node in nodes:
            hosts = [host for host, its in at.items() if its == node]
            done = partial(cleared, node)
            self._then(self._keepers[node].clear.remote(run, hosts), done, done)
        if not nodes:
            self._places.free(run)

    def forsake(self, name: str) -> None:
        """End what another Clary has here; its keepers' guards end what they do not."""
        for each in ray.util.list_named_actors(all_namespaces=True):
            if each["namespace"] == name:
                with contextlib.suppress(ValueError):  # it has ended meanwhile
                    keeper = ray.get_actor(each["name"], namespace=name)
                    end = partial(_kill, keeper)
                    self._then(keeper.forsake.remote(), end, end)
        self._tell({"event": "forsaken", "name": name})

    def _gone(self, run: str, host: str, why: str) -> None:
        self._tell({"event": "gone", "run": run, "host": host, "why": why})

    # Nodes.

    def _look_at_nodes(self) -> None:
        found = nodes()
        alive = {each["id"] for each in found}
        for node in set(self._keepers) - alive:
            del self._keepers[node]
        for node in alive - set(self._keepers) - self._sought:
            self._find_keeper(node)
        self._tell({"event": "nodes", "nodes": found})

    def _find_keeper(self, node: str) -> None:
        """Have the node's keeper, from an earlier life or new."""
        self._sought.add(node)
        options = {
            "name": f"keeper-{node}",
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": 0,
            "max_concurrency": 64,
            "num_cpus": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
        }
        keeper = ray.remote(RayKeeper).options(**options).remote(self._name, self._lease_s, self._is_warm)

        def found(where: Mapping[str, Any]) -> None:
            self._sought.discard(node)
            self._keepers[node] = keeper
            self._places.trust(node)
            self._tell({"event": "keeper", "node": node, **where})
            if len(self._keepers) == 1:
                self._then(keeper.groups.remote(), self._found_groups, _nothing)
            self._follow(node, keeper, 0)

        self._then(keeper.where.remote(), found, lambda _: self._sought.discard(node))

    def _found_groups(self, groups: Sequence[str]) -> None:
        earlier = [each for each in groups if not self._places.is_waiting(each)]
        self._tell({"event": "groups", "groups": earlier})

    def _follow(self, node: str, keeper: Any, seen: int) -> None:
        """Hear what becomes of a node's hosts, for as long as its keeper lives."""

        def heard(news: Mapping[str, Any]) -> None:
            for each in news["hosts"]:
                self._tell({"event": "news", **each})
            self._places.trust(node)
            self._follow(node, keeper, news["n"])

        def failed(error: BaseException) -> None:
            self._places.doubt(node)
            if type(error).__name__ == "ActorUnavailableError":  # it may come back
                self._later(AGAIN_S, partial(self._follow, node, keeper, seen))
            elif self._keepers.get(node) is keeper:
                del self._keepers[node]
                self._tell({"event": "unkept", "node": node, "why": _text(error)})

        self._then(keeper.news.remote(seen), heard, failed)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, self._work.put, [work])
        timer.daemon = True
        timer.start()

    def _then(self, ref: Any, done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """Have one of the two called in the driver's own thread."""

        def ended(future: Any) -> None:
            error = future.exception()
            self._work.put(partial(failed, error) if error is not None else partial(done, future.result()))

        ref.future().add_done_callback(ended)


def nodes() -> list[dict[str, Any]]:
    """Return the nodes that are alive."""
    return [
        {"id": each["NodeID"], "address": each["NodeManagerAddress"], "resources": each["Resources"]}
        for each in sorted(ray.nodes(), key=lambda each: str(each["NodeID"]))
        if each["Alive"]
    ]


def _nothing(_: object) -> None:
    pass


def _kill(keeper: Any, _: object) -> None:
    ray.kill(keeper)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def main(arguments: Sequence[str]) -> int:
    """Connect, then work until the orders end."""
    address, name, lease_s, *chosen = arguments
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Ray prints; the events have the stream to themselves

    def tell(event: Mapping[str, Any]) -> None:
        output.write(f"{json.dumps(event)}\n")
        output.flush()

    try:
        ray.init(address=address, namespace=name, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # whatever it is, the cluster cannot be had now
        tell({"event": "away", "why": _text(error)})
        return 1
    if "--look" in chosen:
        tell({"event": "nodes", "nodes": nodes()})
    else:
        Driver(tell, name, float(lease_s), is_warm="--cold" not in chosen).run(sys.stdin)
    return 0
