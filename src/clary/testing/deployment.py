"""Several nodes over one PostgreSQL and one object store, for tests and benchmarks."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.cli.supervisor import identity, state
from clary.testing import postgres
from clary.testing.server import Account, ClaryServer, end_agents

SHARED = ("secret.key", "credentials.json")
"""Files of the first node's data folder that every other one needs, too."""


@dataclass
class Deployment:
    """Nodes, the first of which also runs the object store."""

    home: Path
    store_url: str
    settings: dict[str, str] = field(default_factory=dict)
    nodes: list[ClaryServer] = field(default_factory=list)
    _given: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def add(self) -> ClaryServer:
        """Start one more node."""
        folder = self.home / f"node-{len(self.nodes) + 1}"
        given: dict[str, Any] = {"store_url": self.store_url, **self.settings}
        if self.nodes:
            folder.mkdir(mode=0o711)
            first = self.nodes[0].data_dir
            for name in SHARED:
                shutil.copy2(first / name, folder / name)
            objects = json.loads((first / "objects.json").read_text())
            given |= {f"objects_{name}": objects[name] for name in ("access_key", "secret_key")}
            given["objects_url"] = objects["endpoint"]
        self.nodes.append(ClaryServer.start(folder, **given))
        self._given[folder] = given
        return self.nodes[-1]

    def again(self, node: ClaryServer) -> ClaryServer:
        """Start a node that was stopped or killed, on its folder and its port; return it as it is now."""
        place = self.nodes.index(node)
        self.nodes[place] = ClaryServer.start(
            node.data_dir, port=node.settings.port, **self._given[node.data_dir]
        )
        return self.nodes[place]

    def seen_by(self, account: Account, node: ClaryServer) -> Account:
        """Return the account as a client of another node has it."""
        keys = (account.access_key_id, account.secret_access_key)
        return Account(account.name, account.account_id, *keys, node.url, account.role_arn, account.region)

    def has_control(self, node: ClaryServer) -> bool:
        """Say whether a node's control plane is ready."""
        running = state.read(node.data_dir)
        return running is not None and any(
            each.name == "control" and each.phase == "ready" for each in running.processes
        )

    def kill_control(self, node: ClaryServer) -> int:
        """Kill a node's control plane outright; return its pid. Its supervisor starts another."""
        while not (pid := node.pid("control")):  # its supervisor is starting it just now
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def kill_node(self, node: ClaryServer, *, with_hosts: bool = False) -> None:
        """Kill all of a node outright: as its supervisor dies, or, `with_hosts`, its machine."""
        running = state.read(node.data_dir)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        for each in (one for one in running.processes if one.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
            identity.wait(each.pid, each.since, timeout_s=10.0)
        identity.wait(running.pid, running.since, timeout_s=10.0)
        if with_hosts:
            end_agents(node.settings)

    def stop(self) -> None:
        """Stop every node, and what runs there."""
        for node in reversed(self.nodes):
            node.stop()
            end_agents(node.settings)


@contextlib.contextmanager
def deployment(home: Path, n_nodes: int = 2, **settings: str) -> Iterator[Deployment]:
    """Run `n_nodes` nodes over a PostgreSQL of their own.

    Parameters
    ----------
    settings : str
        `CLARY_*` variables of every node, by their names without the prefix, in lower case.
    """
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with postgres.server(connections=200) as url:
        made = Deployment(home, url, settings)
        try:
            for _ in range(n_nodes):
                made.add()
            yield made
        finally:
            made.stop()
