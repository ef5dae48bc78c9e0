"""Asking a replica without a client: a shadow variant, a probe."""

from collections.abc import Callable
from dataclasses import dataclass

from clary.gateway.edge.legs import Leg
from clary.gateway.edge.stages.base import Site
from clary.serving.frames import Frame


@dataclass(slots=True)
class Aside:
    """A question nobody waits for."""

    body: bytes
    deadline: float
    heard: Callable[[Frame | None], None]

    def answered(self, frame: Frame) -> None:
        """Take the answer."""
        self.heard(frame)

    def broken(self, _reason: str) -> None:
        """Hear that the replica went away: it is not asked again."""
        self.heard(None)

    def late(self) -> None:
        """Hear that the answer did not come in time."""
        self.heard(None)


async def ask(
    site: Site, leg: Leg, header: bytes, body: bytes, heard: Callable[[Frame | None], None]
) -> None:
    """Ask the least loaded replica of a leg; `heard` gets its answer, or None.

    Parameters
    ----------
    header : bytes
        Of the frame, as it goes out: an invocation's own, to mirror it.
    """
    replicas = leg.variant.replicas
    if not replicas:
        heard(None)
        return
    address = min(replicas, key=lambda each: site.replicas.load(each.address)).address
    try:
        connection = await site.replicas.connect(address)
    except OSError:
        heard(None)
        return
    if connection.is_full:
        heard(None)
        return
    now = site.clock()
    connection.ask(Aside(body, now + site.limits.invocation_s, heard), header, now)
