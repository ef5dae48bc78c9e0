"""Routes as an edge serves them: each variant with its stages, its counts and its models in place."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.gateway.edge.multimodel import Models
from clary.gateway.edge.tallies import Key, Tallies, Tally
from clary.serving.policies.base import Route, Variant

if TYPE_CHECKING:
    from clary.gateway.edge.inplace import Seat
    from clary.gateway.edge.stages.base import Stage

UNREACHABLE = frozenset({"Creating", "Failed", "Deleting", "OutOfService"})
"""`EndpointStatus` in which the service answers as if there were no such endpoint."""


class Leg:
    """One variant of one route."""

    __slots__ = (
        "asks",
        "document",
        "key",
        "models",
        "n_turns",
        "seats",
        "tally",
        "tells",
        "templates",
        "variant",
    )

    def __init__(self, key: Key, variant: Variant, document: Mapping[str, Any], tally: Tally) -> None:
        self.key = key
        self.variant = variant
        self.document = document
        """The variant as the control plane published it."""
        self.tally = tally
        self.asks: tuple[Stage, ...] = ()
        self.tells: tuple[Stage, ...] = ()
        self.seats: tuple[Seat, ...] = ()
        """For each replica, the place where its model may be in this process; for one that restarts, too."""
        self.models: Models | None = None
        """Of a multi-model endpoint, what is known of each; None elsewhere."""
        self.n_turns = 0
        self.templates: dict[str, bytes] = {}
        """Heads of plain answers, by content type."""

    def seat(self) -> "Seat | None":
        """Return the seat whose turn it is; None where there is no replica."""
        seats = self.seats
        if len(seats) == 1:
            return seats[0]
        if not seats:
            return None
        self.n_turns += 1
        return seats[self.n_turns % len(seats)]


class Routed:
    """One endpoint's route."""

    __slots__ = ("away", "document", "has_room", "legs", "route", "sole")

    def __init__(self, route: Route, document: Mapping[str, Any], legs: Mapping[str, Leg]) -> None:
        self.route = route
        self.document = document
        """The route as the control plane published it."""
        self.legs = legs
        self.away: Mapping[str, str] | None = document.get("away")
        """Where the edge of the replicas' node answers (`url`, `authority`); None where that is this one."""
        self.has_room = any(leg.document.get("components") for leg in legs.values())
        """It is asked by the names of its inference components."""
        self.sole: Leg | None = None
        """The leg of every request, where there is one variant and the endpoint can be reached."""
        if len(legs) == 1 and route.status not in UNREACHABLE and not self.has_room:
            self.sole = next(iter(legs.values()))


class Routing:
    """Makes routes of the documents that the control plane pushes."""

    def __init__(self, tallies: Tallies, seat_of: "Callable[[str], Seat]") -> None:
        self._tallies = tallies
        self._seat_of = seat_of
        self.stages: Sequence[Stage] = ()

    def parse(self, key: str, document: Mapping[str, Any]) -> Routed:
        """Read the route of `<account>/<region>/<endpoint>`."""
        from clary.gateway.edge.stages.base import Part  # noqa: PLC0415 - the seam's types name legs

        account, region, endpoint = key.split("/", 2)
        route = Route.parse(document)
        legs: dict[str, Leg] = {}
        if "away" in document:
            return Routed(route, document, legs)
        for variant, published in zip(route.variants, document["variants"], strict=True):
            place = Key(account, region, endpoint, variant.name)
            leg = legs[variant.key] = Leg(place, variant, published, self._tallies.of(place))
            if published.get("multi_model"):
                leg.models = Models(variant.replicas, self._seat_of)
            resting = [each["address"] for each in published.get("resting", ())]
            leg.seats = tuple(map(self._seat_of, [*(each.address for each in variant.replicas), *resting]))
        routed = Routed(route, document, legs)
        for leg in legs.values():
            parts = [(stage, stage.wants(leg, routed)) for stage in self.stages]
            leg.asks = tuple(stage for stage, part in parts if Part.ASK in part)
            leg.tells = tuple(stage for stage, part in parts if Part.TELL in part)
        return routed
