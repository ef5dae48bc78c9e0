"""The seam of the stages: what else happens to an invocation on its way. One stage, one file.

    verified ─▶ routed to a leg ─▶ ask ─▶ ask ─▶ in place │ replica ─▶ answered ─▶ tell ─▶ tell
                                    └── stages that the leg wants, in the order of their names ──┘

A module of this folder has `make(site) -> Stage`. A leg that no stage wants pays nothing for any of them.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.replicas import Replicas
from clary.gateway.edge.tallies import Tallies

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

PACKAGE = "clary.gateway.edge.stages"


class Part(Flag):
    """What a stage wants of an invocation."""

    NOTHING = 0
    ASK = auto()
    """To be asked before a replica is; such legs are never answered past the stages."""
    TELL = auto()
    """To hear what was answered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered to an invocation."""

    status: int
    """As the client got it; 424 for a fault inside the model."""
    content_type: str = ""
    body: bytes = b""
    """Empty where the answer was streamed."""
    model_s: float = 0.0
    """From the question to the model's last byte."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the model's own, with `attributes` where it gave custom ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a stage may use of its edge."""

    control: ControlPlane
    replicas: Replicas
    tallies: Tallies
    limits: Limits
    clock: Callable[[], float]
    """Seconds of the event loop."""
    spawn: Callable[[Coroutine[Any, Any, None], Exchange], None]
    """Runs a coroutine for an exchange; what it raises is logged, and answered 500."""


class Stage(Protocol):
    """One stage.

    **Promises.** No method waits, and what `told` and `sweep` do takes microseconds: they run on the event
    loop. `wants` is called once for each leg of each route that is pushed, and depends on nothing but its
    arguments.
    """

    name: ClassVar[str]

    def wants(self, leg: Leg, routed: Routed) -> Part:
        """Say what the stage wants of the invocations of one variant.

        Parameters
        ----------
        leg : Leg
            `leg.document` is the variant as the control plane published it, `routed.document` the route.
        """

    def ask(self, one: "Invocation") -> bool:
        """Look at an invocation before it is asked.

        Returns
        -------
        bool
            True: it goes on. False: the stage has taken it over, and either answers it
            (`one.exchange.answer`, `one.refuse`) or lets it go on later (`one.go_on()`), once. It may change
            `one.leg`, `one.body` and `one.tried` before it does.
        """

    def told(self, one: "Invocation", reply: Reply) -> None:
        """Hear what was answered; the answer is out already."""

    def sweep(self, now: float) -> None:
        """Do what is due; called about once a second."""

    def close(self) -> None:
        """Finish: the edge ends."""
