"""What this edge counted of endpoints, told to the control plane a few times a second."""

import asyncio
import json
import logging

from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.relay import Away
from clary.gateway.edge.tallies import Key, Tallies, Tally

TELL_S = 0.25
PATH = "/internal/usage"

_LOG = logging.getLogger(__name__)


class UsageTeller:
    """Takes the tallies and tells them; what could not be told goes with the next."""

    def __init__(self, control: ControlPlane, tallies: Tallies) -> None:
        self._control = control
        self._tallies = tallies
        self._untold: dict[Key, Tally] = {}

    async def run(self) -> None:
        """Tell for ever; once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(TELL_S)
                await self.tell()
        finally:
            self._gather()

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
            if status != 200:
                _LOG.error("the control plane did not take counts: %d", status)

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
