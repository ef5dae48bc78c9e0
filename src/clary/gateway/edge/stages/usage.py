"""What this edge counted of endpoints, told to the control plane a few times a second."""

import asyncio
import json
import logging
from typing import TYPE_CHECKING, ClassVar

from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.relay import Away
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.gateway.edge.tallies import Key, Tallies, Tally

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

TELL_S = 0.25
PATH = "/internal/usage"

_LOG = logging.getLogger(__name__)


class UsageTeller:
    """Takes the tallies and tells them; what could not be told goes with the next."""

    name: ClassVar[str] = "usage"

    def __init__(self, control: ControlPlane, tallies: Tallies) -> None:
        self._control = control
        self._tallies = tallies
        self._untold: dict[Key, Tally] = {}
        self._task: asyncio.Task[None] | None = None
        self._status = 200
        """Of the last answer: a control plane that does not take counts is logged once, not at every post."""

    def wants(self, _leg: Leg, _routed: Routed) -> Part:
        """Want nothing of any invocation: they are counted anyway."""
        return Part.NOTHING

    def ask(self, _one: "Invocation") -> bool:
        """Let it go on."""
        return True

    def told(self, _one: "Invocation", _reply: Reply) -> None:
        """Hear nothing."""

    def sweep(self, _now: float) -> None:
        """See that counts are told."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self.tell()
            await asyncio.sleep(TELL_S)

    async def tell(self) -> None:
        """Tell what was counted since the last time."""
        self._gather()
        if not self._untold:
            return
        told, self._untold = self._untold, {}
        counts = [
            [*key, {name: getattr(tally, name) for name in Tally.__slots__}] for key, tally in told.items()
        ]
        try:
            status = await self._control.tell(PATH, json.dumps({"counts": counts}).encode())
        except (Away, OSError) as error:
            _LOG.debug("counts wait for the control plane: %s", error)
            self._put_back(told)
        else:
            if status not in {200, self._status}:
                _LOG.error("the control plane did not take counts: %d", status)
            self._status = status

    def _gather(self) -> None:
        for key, tally in self._tallies.take():
            self._add(key, tally)

    def _put_back(self, told: dict[Key, Tally]) -> None:
        for key, tally in told.items():
            self._add(key, tally)

    def _add(self, key: Key, tally: Tally) -> None:
        known = self._untold.get(key)
        if known is None:
            self._untold[key] = tally
            return
        for name in Tally.__slots__:
            mine, theirs = getattr(known, name), getattr(tally, name)
            setattr(known, name, max(mine, theirs) if name == "model_most_s" else mine + theirs)


def make(site: Site) -> UsageTeller:
    """Return the stage of one edge."""
    return UsageTeller(site.control, site.tallies)
