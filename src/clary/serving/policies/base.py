"""Seam of the routing policies."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

Load = Callable[[str], int]
"""Returns how many invocations are in flight at an address."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One model server."""

    id: str
    address: str
    """Path of its unix socket; of a container, `http://host:port`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One production variant and its replicas."""

    name: str
    weight: float
    replicas: tuple[Replica, ...]
    is_random: bool = False
    """Its replicas are chosen at random, whatever their load."""
    key: str = ""
    """Tells it apart in its route, where one name may stand twice: while an update shifts traffic."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where the invocations of one endpoint go."""

    status: str
    """`EndpointStatus`."""
    variants: tuple[Variant, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "Route":
        """Read a route as the control plane gives it."""
        return cls(
            status=document["status"],
            variants=tuple(
                Variant(
                    name=each["name"],
                    weight=float(each["weight"]),
                    replicas=tuple(Replica(id=one["id"], address=one["address"]) for one in each["replicas"]),
                    is_random=each.get("routing") == "RANDOM",
                    key=f"{n}/{each['name']}",
                )
                for n, each in enumerate(document["variants"])
            ),
        )


class Policy(Protocol):
    """Chooses who answers an invocation.

    **Promises.** Neither method waits, keeps the invocation, or changes the route. `replica` never returns
    one in `tried`. Both are called on the event loop only.
    """

    name: ClassVar[str]

    def variant(self, route: Route, target: str | None) -> Variant | None:
        """Choose a variant; `target` is the client's own choice.

        Returns
        -------
        Variant or None
            None when `target` names no variant, or none can serve.
        """

    def replica(self, variant: Variant, load: Load, tried: Collection[str]) -> Replica | None:
        """Choose a replica of `variant`, none of the addresses in `tried`; None when there is no other."""
