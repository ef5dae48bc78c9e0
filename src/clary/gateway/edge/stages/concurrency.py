"""Limits of concurrency: a serverless variant answers `MaxConcurrency` invocations at a time."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from clary.gateway.edge import faults
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.serving.concurrency import SharedCount

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

FORGOTTEN_S = 10.0
"""After its deadline, an invocation whose client left and whose replica ended counts no longer."""
REST_S = 60.0
"""A count that rested so long is let go of: its endpoint may be deleted, and it holds a descriptor."""


class Concurrency:
    """The stage of one edge."""

    name: ClassVar[str] = "concurrency"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._counts: dict[str, SharedCount] = {}
        self._used: dict[str, float] = {}
        """When each count was asked last."""
        self._inside: dict[Invocation, tuple[SharedCount, float]] = {}

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the invocations of variants that have a limit."""
        return Part.ASK | Part.TELL if leg.document.get("concurrency") else Part.NOTHING

    def ask(self, one: "Invocation") -> bool:
        """Let it in while there is room; else refuse it as the service does."""
        terms = one.leg.document["concurrency"]
        count = self._counts.get(terms["file"])
        if count is None:
            count = self._counts[terms["file"]] = SharedCount(Path(terms["file"]))
        now = self._used[terms["file"]] = self._site.clock()
        if count.total() >= terms["most"]:
            text = (
                f"Rate exceeded: endpoint {one.leg.key.endpoint} answers at most {terms['most']} invocations "
                "at a time (MaxConcurrency)."
            )
            one.refuse(faults.rest_json("ThrottlingException", text, 429))
            return False
        count.add(1)
        self._inside[one] = (count, now)
        return True

    def told(self, one: "Invocation", _reply: Reply) -> None:
        """Make room."""
        found = self._inside.pop(one, None)
        if found is not None:
            found[0].add(-1)

    def sweep(self, now: float) -> None:
        """Make room for what was never answered, and where another edge ended."""
        late = now - self._site.limits.invocation_s - FORGOTTEN_S
        for one in [one for one, (_count, since) in self._inside.items() if since < late]:
            self._inside.pop(one)[0].add(-1)
        for file, count in tuple(self._counts.items()):
            count.tidy()
            if not count.n and self._used[file] < now - REST_S:
                self._counts.pop(file).close()

    def close(self) -> None:
        """Let go of the counts."""
        for count in self._counts.values():
            count.close()
        self._counts.clear()


def make(site: Site) -> Concurrency:
    """Return the stage of one edge."""
    return Concurrency(site)
