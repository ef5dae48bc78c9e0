"""A job is a row plus a machine: a closed table of edges whose states are the service model's own enum.

    worker ──claim──▶ step(job, world) ──Move──▶ one transaction: status, transition, event, lease

A step runs outside any transaction, may run twice, and never waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clary.store.records import Record

if TYPE_CHECKING:
    from clary.engine.world import World


@dataclass(frozen=True, slots=True)
class Move:
    """What a step decided."""

    state: str
    document: Mapping[str, Any] = field(default_factory=dict)
    """Members to set in the wire document."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """Entries to set in the machine's own memory; never shown to a client."""
    private: Mapping[str, Any] = field(default_factory=dict)
    """Entries to set in the record's private part: what other requests need and no client sees."""
    after_s: float = 0.0
    """Run the next step after so long; an event wakes it sooner."""
    message: str = ""
    """`StatusMessage` of the transition; empty keeps the state's own text."""
    node: str = ""
    """Node that the machine shall belong to from now on, where several share a store; empty leaves it."""
    through: tuple[str, ...] = ()
    """States passed on the way since the last step, each an edge; they show as transitions."""


@dataclass(frozen=True, slots=True)
class Job:
    """A machine's row as one step sees it."""

    record: Record
    state: str
    memory: Mapping[str, Any]

    def __getitem__(self, member: str) -> Any:
        """Return a member of the wire document."""
        return self.record.document[member]

    def get(self, member: str, default: Any = None) -> Any:
        """Return a member of the wire document, or `default`."""
        return self.record.document.get(member, default)

    @property
    def intent(self) -> Mapping[str, Any]:
        """What a customer asked of the running job since, such as `stop`."""
        intent: Mapping[str, Any] = self.record.private.get("intent", {})
        return intent


Step = Callable[[Job, "World"], Move]
Release = Callable[[Job, "World"], None]
Shown = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Machine:
    """The closed table of a noun's states.

    Parameters
    ----------
    noun : str
        Whose machine this is.
    start : str
        State in which a new row begins.
    edges : mapping of state to the states that may follow
        A state without a row is final. Staying in a state is always allowed.
    status_of : mapping of state to coarse status
        States missing here are their own status.
    detail : str
        Member that shows the state, where it differs from the status (`SecondaryStatus`).
    messages : mapping of state to text
        `StatusMessage` of a transition into the state.
    parent : str
        Member with the ARN of the machine that waits for this one's end; woken with its last move.
    is_placed : bool
        It launches runs: where several nodes share a database, it belongs to one of them.
    is_kept : bool
        Its data lie in its node's folder: it waits for that node, however long it is away.
    """

    def __init__(
        self,
        *,
        noun: str,
        start: str,
        edges: Mapping[str, frozenset[str]],
        status_of: Mapping[str, str] | None = None,
        detail: str = "",
        messages: Mapping[str, str] | None = None,
        parent: str = "",
        is_placed: bool = False,
        is_kept: bool = False,
    ) -> None:
        self.noun = noun
        self.is_placed, self.is_kept = is_placed, is_kept
        self.parent = parent
        self.start = start
        self.edges = dict(edges)
        self.detail = detail
        self.messages = dict(messages or {})
        self._status_of = dict(status_of or {})
        self._steps: dict[str, Step] = {}
        self.release: Release | None = None
        self.shown: Shown | None = None

    def end(self, function: Release) -> Release:
        """Register what frees a job's means after its last move is committed; it may run twice."""
        self.release = function
        return function

    def shows(self, function: Shown) -> Shown:
        """Register what the document shows of the private part: written with every move that changes that."""
        self.shown = function
        return function

    def step(self, *states: str) -> Callable[[Step], Step]:
        """Register the step of one or more states."""

        def register(function: Step) -> Step:
            for state in states:
                if state not in self.edges:
                    raise ValueError(f"{self.noun}: {state} has no edges")
                self._steps[state] = function
            return function

        return register

    def step_of(self, state: str) -> Step:
        """Return the step of `state`."""
        return self._steps[state]

    def status(self, state: str) -> str:
        """Return the coarse status that `state` shows as."""
        return self._status_of.get(state, state)

    def is_final(self, state: str) -> bool:
        """Say whether nothing follows `state`."""
        return state not in self.edges

    def admits(self, origin: str, target: str) -> bool:
        """Say whether the table has the edge."""
        return origin == target or target in self.edges.get(origin, frozenset())

    def check(self, origin: str, move: Move) -> None:
        """Refuse a move that the table has no edges for.

        Raises
        ------
        ValueError
            Names the edge that is missing.
        """
        for target in (*move.through, move.state):
            if not self.admits(origin, target):
                raise ValueError(f"{self.noun}: no edge {origin} -> {target}")
            origin = target

    @property
    def states(self) -> frozenset[str]:
        """Every state of the table."""
        return frozenset(self.edges) | frozenset(state for follow in self.edges.values() for state in follow)

    def enter(
        self, document: Mapping[str, Any], state: str, *, now: Any, message: str = ""
    ) -> dict[str, Any]:
        """Return the members that change when the document enters `state`: detail and transitions.

        Source
        ------
        Shape `SecondaryStatusTransition` of the service model.
        """
        if not self.detail:
            return {}
        transitions = [dict(each) for each in document.get(f"{self.detail}Transitions", [])]
        if transitions and transitions[-1]["Status"] == state:
            if message:
                transitions[-1]["StatusMessage"] = message
        else:
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1]["EndTime"] = now
            entry = {
                "Status": state,
                "StartTime": now,
                "StatusMessage": message or self.messages.get(state, ""),
            }
            if self.is_final(state):
                entry["EndTime"] = now
            transitions.append(entry)
        return {self.detail: state, f"{self.detail}Transitions": transitions}
