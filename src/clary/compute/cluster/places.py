"""Places of runs, as one driver asks keepers for them and gives them back. Nothing here imports Ray.

seat ─▶ a keeper asks Ray, and again ─▶ seated        until the run is let go
let go, free ─▶ a keeper gives back ─▶ done           each is asked once; then whoever is found or heard next

A driver that ends before leaves them to the next one, whose first keeper tells of all groups.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

AGAIN_S = 0.5


class Places:
    """Whoever has places, or waits for them.

    Parameters
    ----------
    keepers : mapping
        Those that have answered, by node; the driver's own.
    then : callable
        Takes what a keeper was asked, and what to do with its answer, or its error.
    later : callable
        Takes seconds, and what to do then.
    tell : callable
        Takes an event.
    """

    def __init__(
        self,
        keepers: Mapping[str, Any],
        then: Callable[[Any, Callable[[Any], None], Callable[[BaseException], None]], None],
        later: Callable[[float, Callable[[], None]], None],
        tell: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._keepers, self._then, self._later, self._tell = keepers, then, later, tell
        self._seating: dict[str, object] = {}
        self._placed: set[str] = set()
        self._going: Counter[str] = Counter()
        """How many orders to give a run's places back are not carried out yet."""
        self._owed: list[str] = []
        """Runs of which nobody is asked about that now: all have failed."""
        self._doubted: set[str] = set()
        """Nodes whose keepers have failed, and were not heard since."""

    def is_waiting(self, run: str) -> bool:
        """Say whether places for a run are asked for."""
        return run in self._seating

    def seat(self, run: str, n: int, bundle: Mapping[str, float], is_spread: bool, turn: int) -> None:
        """Ask for a place for every host, until they are there or the run is let go."""
        mark = self._seating[run] = object()

        def ask() -> None:
            if self._seating.get(run) is not mark:
                return
            if self._keepers and not self._going[run]:  # else it might find what goes just now
                node = self._asked(self._keepers)
                question = self._keepers[node].seat.remote(run, n, bundle, is_spread)
                self._then(question, seated, partial(failed, node))
            else:
                again()

        def again() -> None:
            self._later(AGAIN_S, ask)

        def failed(node: str, _: object) -> None:
            self.doubt(node)
            seated(())

        def seated(nodes: Sequence[str]) -> None:
            if self._seating.get(run) is not mark:
                if run not in self._seating and run not in self._placed:
                    self.free(run)  # it was let go while this very group was made
            elif nodes and all(each in self._keepers for each in nodes):
                del self._seating[run]
                self._placed.add(run)
                self._tell({"event": "seated", "run": run, "nodes": nodes, "turn": turn})
            else:
                again()

        ask()

    def let_go(self, run: str) -> None:
        """Ask for nothing any more; what there is stays until it is given back."""
        self._seating.pop(run, None)
        self._placed.discard(run)

    def free(self, run: str) -> None:
        """Give back what a run has."""
        self._going[run] += 1
        self._give_back(run, frozenset())

    def _give_back(self, run: str, asked: frozenset[str]) -> None:
        left = self._keepers.keys() - asked
        if not left:
            self._owed.append(run)
            return
        node = self._asked(left)

        def done(_: object) -> None:
            self._going[run] -= 1
            self._going += Counter()  # those of none are forgotten

        def failed(_: object) -> None:
            self.doubt(node)
            self._give_back(run, asked | {node})

        self._then(self._keepers[node].free.remote(run), done, failed)

    def doubt(self, node: str) -> None:
        """Ask others first."""
        self._doubted.add(node)

    def trust(self, node: str) -> None:
        """Hear of a keeper that has just answered: it gives back what no other could."""
        self._doubted.discard(node)
        owed, self._owed = self._owed, []
        for run in owed:
            self._give_back(run, frozenset())

    def _asked(self, nodes: Iterable[str]) -> str:
        """Return the node whose keeper is asked: one that is not in doubt, where there is."""
        return min(nodes, key=lambda node: (node in self._doubted, node))
