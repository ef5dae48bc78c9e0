"""Multi-model endpoints: which model is loaded where, as an edge learns from the answers of its replicas.

first question ─▶ replica ─▶ loads ─┬▶ answer, "seat": the model as plain arrays, then answered in place
                                    └▶ "moved": the model's own process, then asked without the replica

A replica's socket, a worker's and a file of plain arrays each stand for one loaded model for ever: none is
ever used for another. So whatever has become old leads nowhere, and never to a wrong model.
"""

import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clary.gateway.edge import faults
from clary.serving.frames import Frame
from clary.serving.policies.base import Load, Replica

if TYPE_CHECKING:
    from clary.gateway.edge.inplace import Seat
    from clary.gateway.edge.invocation import Invocation

TARGET = "x-amzn-sagemaker-target-model"
MOST_PLACES = 20_000
"""Models that one route remembers; the one that was learned first makes room."""
MOST_MOVES = 4
"""Of one invocation: a model that ends its process must not be loaded for ever."""
SPILL = 4
"""Invocations in flight at a model's own replica, from which on another one loads it, too."""
_NAME = re.compile(r"[mp]\d{1,9}\.sock")


class Place:
    """Where one model is loaded."""

    __slots__ = ("doors", "order", "seat")

    def __init__(self, order: tuple[Replica, ...]) -> None:
        self.order = order
        """Replicas, the model's own first."""
        self.doors: dict[str, str] = {}
        """By replica, the socket of the model's process."""
        self.seat: Seat | None = None


class Models:
    """The models of one leg."""

    __slots__ = ("_places", "_replicas", "_seat_of")

    def __init__(self, replicas: tuple[Replica, ...], seat_of: "Callable[[str], Seat]") -> None:
        self._replicas = replicas
        self._seat_of = seat_of
        self._places: dict[str, Place] = {}

    def seat(self, target: str) -> "Seat | None":
        """Return the seat of a model that may be answered in place."""
        place = self._places.get(target)
        return place.seat if place is not None else None

    def choose(self, one: "Invocation", load: Load, pinned: str = "") -> str | None:
        """Return the socket to ask next, of one replica where it is `pinned`; None when there is no other."""
        place = self._place(one.exchange.head.fields.get(TARGET, ""))
        for replica, door in tuple(place.doors.items()):
            if door in one.tried:  # it went away under this invocation
                del place.doors[replica]
        open_to = [
            place.doors.get(each.address, each.address)
            for each in place.order
            if each.address not in one.tried and pinned in {"", each.address}
        ]
        if not open_to:
            return None
        return next((each for each in open_to if load(each) < SPILL), None) or min(open_to, key=load)

    def _place(self, target: str) -> Place:
        place = self._places.get(target)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                del self._places[next(iter(self._places))]
            mark = target.encode()
            order = sorted(self._replicas, key=lambda each: zlib.crc32(each.id.encode() + mark))
            place = self._places[target] = Place(tuple(order))
        return place

    def told(self, one: "Invocation", frame: Frame) -> str | None:
        """Learn from an answer; return the socket to ask instead, where it names one."""
        header, tally = frame.header, one.leg.tally
        asked = one.tried[-1]
        place = self._place(one.exchange.head.fields.get(TARGET, ""))
        if "fault" in header:
            text = frame.body.decode(errors="replace")
            one.refuse(faults.rest_json(str(header["fault"]), text, int(header.get("status", 400))))
            return None
        if not one.n_moved:
            tally.n_cold += bool(header.get("cold"))
            tally.n_hits += not header.get("cold")
        seat, moved = header.get("seat", ""), header.get("moved", "")
        if seat and place.seat is None and _NAME.fullmatch(seat):
            place.seat = self._seat_of(str(Path(asked).with_name(seat)))
        if not moved or not _NAME.fullmatch(moved):
            return None
        door = str(Path(asked).with_name(moved))
        if not header.get("once"):
            place.doors[asked] = door
        return door
