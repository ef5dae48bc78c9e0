"""What is counted of each variant: the numbers behind the service's metrics of endpoints.

Counted where a request is answered, taken by whoever publishes: see `Tallies.take`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """A variant of an endpoint, or one container of its model."""

    account: str
    region: str
    endpoint: str
    variant: str
    container: str = ""
    """Of a model with several."""


@dataclass(slots=True)
class Tally:
    """Counts of one variant since they were last taken."""

    n: int = 0
    """Invocations answered, whatever came of them."""
    n_4xx: int = 0
    n_5xx: int = 0
    n_model_4xx: int = 0
    n_model_5xx: int = 0
    """ModelErrors, by the model's own status; they count among `n_4xx`, as the client sees 424."""
    n_in_place: int = 0
    """Of `n`, those that no replica was asked for."""
    model_s: float = 0.0
    """Sum of the seconds from question to the model's answer."""
    model_most_s: float = 0.0
    overhead_s: float = 0.0
    """Sum of the seconds that the edge took besides."""
    n_received: int = 0
    n_sent: int = 0
    n_hits: int = 0
    """Of a multi-model endpoint, those whose model was loaded."""
    n_cold: int = 0
    """Those that waited for it."""
    n_no_capacity: int = 0
    """Of an inference component, those for which it had no copy."""
    n_compared: int = 0
    """Of a shadow, its answers that were held against those of its variant."""
    n_apart: int = 0
    """Those that said something else."""
    apart: float = 0.0
    """Sum of how far their numbers were apart."""


class Tallies:
    """The tallies of one edge; a variant keeps its own while routes come and go."""

    def __init__(self) -> None:
        self._live: dict[Key, Tally] = {}

    def of(self, key: Key) -> Tally:
        """Return the tally of a variant; counting into it is all there is to do."""
        tally = self._live.get(key)
        if tally is None:
            tally = self._live[key] = Tally()
        return tally

    def take(self) -> Iterator[tuple[Key, Tally]]:
        """Yield what was counted since the last time, and begin at zero."""
        for key, tally in self._live.items():
            if tally.n:
                yield key, Tally(*(getattr(tally, name) for name in Tally.__slots__))
                for name in Tally.__slots__:
                    setattr(tally, name, 0)

    def drop(self, key: Key) -> None:
        """Forget a variant that is no more."""
        self._live.pop(key, None)
