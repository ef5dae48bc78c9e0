"""Scale from zero: invocations of a variant without instances wait for the first one, and make it start.

What the model that this edge still has can answer in place, waits for nobody.
"""

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, ClassVar

from clary.gateway.edge import faults
from clary.gateway.edge.invocation import ASYNCHRONOUS
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.relay import Away
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.gateway.edge.tallies import Key

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

PATH = "/internal/wake"
MOST_HELD = 1024
"""Of one variant; more are refused."""


class Hold:
    """The stage of one edge."""

    name: ClassVar[str] = "hold"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._held: dict[Key, list[tuple[Invocation, float]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the invocations of variants without instances; let go of those that waited for these."""
        if leg.variant.replicas:
            if leg.key in self._held:
                asyncio.get_running_loop().call_soon(self._release, leg)
            return Part.NOTHING
        return Part.ASK if leg.document.get("wakes") else Part.NOTHING

    def ask(self, one: "Invocation") -> bool:
        """Answer it in place, or hold it and have an instance started."""
        if one.operation == ASYNCHRONOUS:
            return True
        if one.invoke.in_place(one):
            return False
        held = self._held.get(one.leg.key)
        if held is None:
            held = self._held[one.leg.key] = []
            self._wake(one.leg.key)
        if len(held) >= MOST_HELD:
            one.refuse(faults.busy(f"Endpoint {one.leg.key.endpoint} has too many invocations waiting."))
        else:
            held.append((one, self._site.clock() + self._site.limits.invocation_s))
        return False

    def _release(self, leg: Leg) -> None:
        for one, _deadline in self._held.pop(leg.key, ()):
            one.leg = leg
            one.go_on()

    def _wake(self, key: Key) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, key: Key) -> None:
        with contextlib.suppress(Away, OSError):  # the next sweep tells it again
            await self._site.control.tell(PATH, json.dumps({"variant": list(key)}).encode())

    def told(self, _one: "Invocation", _reply: Reply) -> None:
        """Hear nothing."""

    def sweep(self, now: float) -> None:
        """Give those up that waited too long; ask again for the others' instance."""
        for key, held in list(self._held.items()):
            rest = []
            for one, deadline in held:
                if now < deadline and not one.exchange.is_gone:
                    rest.append((one, deadline))
                else:
                    one.refuse(faults.busy(f"No instance of endpoint {key.endpoint} came up in time."))
            if rest:
                self._held[key] = rest
                self._wake(key)
            else:
                del self._held[key]

    def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()


def make(site: Site) -> Hold:
    """Return the stage of one edge."""
    return Hold(site)
