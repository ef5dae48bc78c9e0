"""Other control planes over the same PostgreSQL: what this one tells them, and what it hears.

publish ─▶ own edges, with the value
        └▶ notice ─▶ others ─▶ their edges: forget it, and ask when it is needed
wake    ─▶ notice ─▶ the node that the machine belongs to looks at once

A notice holds no value: secrets do not go that way, and what is asked for is what was committed last.
"""

import logging
from collections.abc import Mapping
from typing import Any

from clary.engine.machine import Machine
from clary.engine.nodes import Nodes
from clary.engine.world import World
from clary.gateway.control.watch import Watch
from clary.store import notices
from clary.store.notices import Listener

log = logging.getLogger("clary.control")


class Neighbours:
    """The others, to one control plane; there are none with the embedded store."""

    def __init__(self, world: World, watch: Watch, machines: Mapping[str, Machine]) -> None:
        self._world, self._watch = world, watch
        self.nodes = Nodes(
            world,
            placed=frozenset(noun for noun, each in machines.items() if each.is_placed),
            kept=frozenset(noun for noun, each in machines.items() if each.is_kept),
            doubt=watch.cut,
            lost=self._lost,
            known=watch.introduce,
        )
        self._listener = Listener(world.settings.store_dsn, world.node, self._hear, watch.cut)

    def start(self) -> "Neighbours":
        """Listen, and enter among the others."""
        if self._world.node:
            self._listener.start()
            self.nodes.start()
        return self

    def close(self) -> None:
        """End."""
        if self._world.node:
            self.nodes.close()
            self._listener.close()

    def publish(self, kind: str, key: str, value: Mapping[str, Any] | None) -> None:
        """Tell every edge that `kind` `key` now is `value`; those of others when it is committed."""
        self._watch.publish(kind, key, value)
        if not self._world.node:
            return
        held: list[list[str]] | None = getattr(self._world.held, "notices", None)
        if held is not None:
            held.append([kind, key])
            return
        try:
            self._world.store.write(notices.tell, {"drop": [[kind, key]]})
        except Exception:  # it is committed; and who cannot be told now listens anew, and doubts all it has
            log.exception("other nodes were not told of %s %s", kind, key)

    def routed(self, route: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a route as the own edges need it: one of another node leads to that node's edge."""
        node = route.get("node", "")
        if not node or node == self._world.node:
            return route
        away = self.nodes.url_of(node) or {"url": "", "authority": ""}
        return {**route, "away": away}

    def _hear(self, notice: Mapping[str, Any]) -> None:
        for kind, key in notice.get("drop", ()):
            self._watch.publish(kind, key, None)
        if notice.get("wake") in {"", self._world.node}:
            self._world.nudge("")

    def _lost(self) -> None:
        """Close what a lost node's jobs left open, and post the notifications that it had in hand."""
        self._world.extras["sweep"]()
        self._world.extras["adopt"]()
