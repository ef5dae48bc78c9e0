"""Nodes of a deployment: control planes over one PostgreSQL, each with a data folder of its own.

    beat every second ──▶ row of this node        rows of the others ──▶ who has not stirred, and for how long
       5 s silent: its leases are void, what edges cached is asked for again
      60 s silent: it is lost; its machines go to the others, who find that its runs are lost

A node is a folder of runs: whoever holds the folder's lock drives what runs there. So a machine that launches
runs belongs to one node, from its first step on; the others leave it alone until that node is lost.
Silence is counted in own beats that got through: while nobody reaches the database, nobody is lost.
"""

import logging
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from clary.compute import machine
from clary.engine.world import World
from clary.kernel import ids
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.store import nodes, notices, runs, work
from clary.store.nodes import Node
from clary.store.times import to_micros

BEAT_S = 1.0
SILENT_S = 5.0
"""After which the leases of a peer are void: its control plane is gone, or will find them gone."""
FILE = "node"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

log = logging.getLogger("clary.engine")


def identity(settings: Settings) -> str:
    """Return the id of the data folder's node, made where it is missing; empty with the embedded store."""
    if not settings.store_dsn.startswith("postgresql"):
        return ""
    path = settings.data_dir / FILE
    if not path.exists():
        draft = path.with_name(f"{FILE}.{secrets.token_hex(4)}")
        draft.write_text(f"{socket.gethostname()[:40]}-{ids.short(6)}\n")
        draft.rename(path)
    return path.read_text().strip()


@dataclass
class Peer:
    """Another node, as it was seen last."""

    node: Node
    silent_s: float = 0.0
    is_silent: bool = False


class Nodes:
    """One node among the others.

    Parameters
    ----------
    world : World
        Its `node` is this one's id; its placement tells what runs here.
    placed : frozenset of str
        Nouns whose machines launch runs, and so belong to a node.
    kept : frozenset of str
        Those that wait for their node however long it is away: their data lie in its folder.
    doubt : callable
        Called when what edges have cached may be out of date.
    lost : callable
        Called after a node was lost, and its machines are anybody's.
    known : callable
        Told where the edges of the others answer (`url`, `authority`), whenever that has changed.
    """

    def __init__(
        self,
        world: World,
        *,
        placed: frozenset[str],
        kept: frozenset[str],
        doubt: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
        known: Callable[[Sequence[Mapping[str, str]]], None] = lambda _where: None,
    ) -> None:
        self._world, self._placed, self._kept = world, placed, kept
        self._doubt, self._lost, self._known = doubt, lost, known
        self._introduced: list[dict[str, str]] = []
        self._peers: dict[str, Peer] = {}
        self._n_machines: Counter[str] = Counter()
        """By node: as counted at the last beat, and those given out since."""
        self._beaten = 0.0
        self._node = Node(world.node, secrets.token_hex(8), 0, self._told())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)

    def start(self) -> "Nodes":
        """Enter, settle what runs here, and begin to beat; does nothing where there is one node alone.

        Raises
        ------
        SetupError
            Another control plane lives under this node's id: its data folder was copied.
        """
        if not self._world.node:
            return self
        self._await_namesake()
        self._enter()
        self._thread.start()
        return self

    def close(self) -> None:
        """End; peers take this node for lost when it does not come back in time."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def choose(self, noun: str) -> str:
        """Return the node that a new machine of `noun` shall belong to; empty for nobody's."""
        if not self._world.node or noun not in self._placed:
            return ""
        peers = [each.node for each in list(self._peers.values()) if not each.is_silent]
        chosen = min((self._node, *peers), key=self._crowd).node_id  # of equals, the first: this one
        self._n_machines[chosen] += 1
        return chosen

    def _crowd(self, node: Node) -> float:
        """Return how full a node would be with one machine more."""
        memory_mib: int = node.document["memory_mib"]
        return (self._n_machines[node.node_id] + 1) / memory_mib

    def url_of(self, node_id: str) -> Mapping[str, str] | None:
        """Return where the edge of another node answers (`url`, `authority`); None when it is lost."""
        found = self._world.store.read(nodes.find, node_id)
        return None if found is None else {name: found.document[name] for name in ("url", "authority")}

    def every(self) -> list[dict[str, Any]]:
        """Return all nodes, for people to read."""
        silent = {name for name, peer in self._peers.items() if peer.is_silent}
        return [
            {"node": each.node_id, "is_own": each.node_id == self._world.node, **each.document}
            | {"is_silent": each.node_id in silent, "authority": bool(each.document["authority"])}
            for each in self._world.store.read(nodes.every)
        ]

    def beat(self) -> None:
        """Show that this node lives, and look at the others."""
        self._node = replace(self._node, document=self._told())
        is_known, found, self._n_machines = self._world.store.write(self._beat)
        now = time.monotonic()
        passed_s, self._beaten = min(now - self._beaten, 2 * BEAT_S), now
        if not is_known:
            log.warning("this node was taken for lost: its machines may be others' now")
            self._node = replace(self._node, life=secrets.token_hex(8))
            self._enter()
        self._look(found, passed_s)
        for name in set(self._n_machines) - {each.node_id for each in found} - {self._world.node}:
            # given to a node in the very moment in which that was lost
            self._world.store.write(nodes.give_up, name, to_micros(self._world.clock()), self._kept)

    def _beat(self, conn: Connection) -> tuple[bool, list[Node], Counter[str]]:
        return nodes.beat(conn, self._node), nodes.every(conn), Counter(nodes.machines(conn, self._kept))

    def _look(self, found: list[Node], passed_s: float) -> None:
        """Compare the others with what they were a beat ago."""
        peers: dict[str, Peer] = {}
        for node in found:
            if node.node_id == self._world.node:
                continue
            before = self._peers.get(node.node_id)
            if before is None or (node.life, node.beat) != (before.node.life, before.node.beat):
                if before is not None and node.life != before.node.life:
                    self._doubt()  # what its last life committed it may not have told
                peers[node.node_id] = Peer(node)
                continue
            before.silent_s += passed_s
            peers[node.node_id] = before
        self._peers = peers
        self._introduce([each for each in peers.values() if not each.is_silent])
        for peer in list(peers.values()):
            if peer.silent_s >= SILENT_S and not peer.is_silent:
                self._fell_silent(peer)
            if peer.silent_s >= self._world.settings.node_lost_s:
                self._give_up(peer)

    def _introduce(self, peers: list[Peer]) -> None:
        """Say where others answer, when that has changed."""
        where = [{name: each.node.document[name] for name in ("url", "authority")} for each in peers]
        if where != self._introduced:
            self._introduced = where
            self._known(where)

    def _fell_silent(self, peer: Peer) -> None:
        peer.is_silent = True
        n_freed = self._world.store.write(work.disown, peer.node.node_id, self._world.clock())
        log.warning("node %s is silent: %d leases of it are void", peer.node.node_id, n_freed)
        self._doubt()
        self._world.nudge("")

    def _give_up(self, peer: Peer) -> None:
        """Take a node for lost, unless it stirs or a peer is faster."""

        def unit(conn: Connection) -> int | None:
            if not nodes.forget(conn, peer.node):
                return None
            notices.tell(conn, {"wake": ""})
            return nodes.give_up(conn, peer.node.node_id, to_micros(self._world.clock()), self._kept)

        n_freed = self._world.store.write(unit)
        self._peers.pop(peer.node.node_id, None)
        if n_freed is not None:
            log.warning("node %s is lost: %d machines go to others", peer.node.node_id, n_freed)
            self._world.placement.forsake(peer.node.node_id)
            self._world.nudge("")
        self._lost()

    def _enter(self) -> None:
        """Begin a life, and settle whose the runs in this folder are."""
        self._world.store.write(nodes.enter, self._node)
        self._beaten = time.monotonic()
        settings = self._world.settings
        for run_id in {*_runs(settings.runs_dir), *_runs(settings.data_dir / "cluster")}:
            if not self._world.store.write(self._is_ours, run_id):
                log.warning("run %s was given up while this node was away: it is ended", run_id)
                self._world.placement.discard(run_id)

    def _is_ours(self, conn: Connection, run_id: str) -> bool:
        """Say whether a run in this folder is still wanted here; where nobody has its machine, take it."""
        row = runs.find_run(conn, run_id)
        found = work.find(conn, row.arn) if row else None
        if row is not None and row.document.get("node", "") not in {"", self._world.node}:
            return False  # it was opened again elsewhere
        if row is not None and found is None:
            return True  # it has ended: closed by whoever closes those
        if found is not None and not found.node:
            nodes.leave(conn, self._world.node, found.arn)
            return True
        return found is not None and found.node == self._world.node

    def _await_namesake(self) -> None:
        """Refuse an id under which another control plane lives."""
        before = self._world.store.read(nodes.find, self._world.node)
        if before is None or before.document.get("place") == self._told()["place"]:
            return  # the supervisor's lock on the folder says that its earlier life is over
        time.sleep(3 * BEAT_S)
        after = self._world.store.read(nodes.find, self._world.node)
        if after is not None and after.beat != before.beat:
            where = self._world.settings.data_dir / FILE
            raise SetupError(
                f"node {self._world.node} lives at {after.document.get('place')}: "
                f"this data folder is a copy of that one's; remove {where} to make it a node of its own"
            )

    def _told(self) -> dict[str, Any]:
        settings = self._world.settings
        return {
            "place": f"{socket.gethostname()}:{settings.data_dir}",
            "url": _url(settings),
            "authority": _authority(settings.data_dir),
            "memory_mib": int(machine.memory_mib() * settings.memory_overcommit),
            "n_machines": self._n_machines[self._world.node],
        }

    def _run(self) -> None:
        while not self._closing.wait(BEAT_S):
            try:
                self.beat()
            except Exception:
                log.exception("this node could not beat")


def _runs(folder: Path) -> list[str]:
    return sorted(each.parent.name for each in folder.glob("[!.]*/spec.json"))


def _url(settings: Settings) -> str:
    """Return where other nodes reach this one's edge: TLS, but for those on this machine."""
    if settings.host in LOOPBACK:
        return settings.url
    name = socket.getfqdn()
    name = socket.gethostname() if name.startswith("localhost") else name
    return f"https://{settings.advertise or f'{name}:{settings.port}'}"


def _authority(data_dir: Path) -> str:
    """Return the certificate of the folder's own authority, which signs for its edge by default."""
    path = data_dir / "certificates" / "ca.pem"
    return path.read_text() if path.exists() else ""
