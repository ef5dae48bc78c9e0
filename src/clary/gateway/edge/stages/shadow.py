"""Shadow variants: a share of the invocations is asked of another model too, and its answer is compared."""

import random
import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from clary.gateway.edge import aside
from clary.gateway.edge.invocation import WHOLE
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.gateway.edge.tallies import Key
from clary.serving.frames import Frame
from clary.serving.policies.base import Replica, Variant

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation


MOST_BYTES = 64 * 1024
"""Of answers whose numbers are compared; of longer ones, only whether they are the same."""
_NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")


class Shadow:
    """The stage of one edge."""

    name: ClassVar[str] = "shadow"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._draw = random.random
        self._legs: dict[Key, tuple[dict[str, Any], Leg]] = {}

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the answers of variants that have a shadow."""
        shadow = leg.document.get("shadow")
        return Part.TELL if shadow and shadow["replicas"] else Part.NOTHING

    def ask(self, _one: "Invocation") -> bool:
        """Let it go on."""
        return True

    def told(self, one: "Invocation", reply: Reply) -> None:
        """Mirror the question once the client has its answer."""
        shadow = one.leg.document["shadow"]
        if one.operation != WHOLE or self._draw() >= shadow["share"]:
            return
        leg = self._leg(one.leg, shadow)
        begun = perf_counter()

        def heard(frame: Frame | None) -> None:
            tally, took_s = leg.tally, perf_counter() - begun
            tally.n += 1
            tally.model_s += took_s
            tally.model_most_s = max(tally.model_most_s, took_s)
            status = 503 if frame is None else frame.header.get("status", 200)
            if frame is not None and status < 400 and reply.status < 400:
                is_apart, distance = compared(reply.body, frame.body)
                tally.n_compared += 1
                tally.n_apart += is_apart
                tally.apart += distance
            if frame is not None and status >= 400:
                tally.n_4xx += 1
                tally.n_model_4xx += status < 500
                tally.n_model_5xx += status >= 500
            elif frame is None:
                tally.n_5xx += 1

        self._site.spawn(aside.ask(self._site, leg, one.header, one.body, heard), one.exchange)

    def _leg(self, leg: Leg, shadow: dict[str, Any]) -> Leg:
        key = Key(leg.key.account, leg.key.region, leg.key.endpoint, shadow["name"])
        known = self._legs.get(key)
        if known is None or known[0] is not shadow:
            replicas = tuple(Replica(id=one["id"], address=one["address"]) for one in shadow["replicas"])
            made = Leg(key, Variant(shadow["name"], 0.0, replicas), shadow, self._site.tallies.of(key))
            known = self._legs[key] = (shadow, made)
        return known[1]

    def sweep(self, _now: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def compared(answer: bytes, shadow: bytes) -> tuple[bool, float]:
    """Return whether two answers say something else, and the most that two of their numbers are apart.

    The distance is 0 where the answers are not of one form, or too long to look into.
    """
    if answer == shadow:
        return False, 0.0
    if max(len(answer), len(shadow)) > MOST_BYTES or _NUMBER.sub(b"#", answer) != _NUMBER.sub(b"#", shadow):
        return True, 0.0
    pairs = zip(_NUMBER.findall(answer), _NUMBER.findall(shadow), strict=True)
    distance = max(abs(float(one) - float(other)) for one, other in pairs)
    return distance > 0.0, distance if distance < float("inf") else 0.0


def make(site: Site) -> Shadow:
    """Return the stage of one edge."""
    return Shadow(site)
