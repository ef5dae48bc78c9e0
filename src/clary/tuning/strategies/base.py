"""The seam of strategies: which hyperparameters to try next.

Promises
--------
- `propose` is a function of its arguments: a strategy keeps nothing between two calls, so that a job goes on
  after a crash as if nothing had happened, with the same trials for the same seed.
- Running trials count: what is being tried is not proposed again.
- None means that there is nothing left to try.
"""

from typing import ClassVar, Protocol, runtime_checkable

from clary.kernel import registry
from clary.tuning.study import Study

PACKAGE = "clary.tuning.strategies"


@runtime_checkable
class Strategy(Protocol):
    """A way to choose hyperparameters."""

    name: ClassVar[str]
    """As the service's `Strategy` spells it."""
    learns: ClassVar[bool]
    """Whether it looks at results; those that do not are spared the reading."""

    def propose(self, study: Study, index: int) -> dict[str, str] | None:
        """Return the hyperparameters of trial `index`."""
        ...


def find(name: str) -> Strategy:
    """Return the strategy that the service calls `name`.

    Raises
    ------
    LookupError
        There is none; the text lists those that exist.
    """
    found: Strategy = registry.member(PACKAGE, name.lower()).STRATEGY
    return found
