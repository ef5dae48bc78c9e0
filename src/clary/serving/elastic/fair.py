"""Who may use a device next: virtual time by declared share, one turn at a time.

IDLE ──asks──▶ WAITING ──go──▶ RUNNING ──ends──▶ IDLE
                                │  ▲ quantum over, another is behind
                                ▼  │
                              PAUSED

A flow's virtual time grows by the seconds that it has the device, divided by its share; who is furthest
behind goes next. What nobody asks for is anybody's: shares bind only while others wait.

Source
------
Goyal, Vin, Cheng (1996), "Start-time Fair Queuing", doi:10.1145/248157.248171; Iyer, Druschel (2001),
"Anticipatory scheduling", doi:10.1145/502034.502046, for the moment that a device is kept for one.
"""

from dataclasses import dataclass
from enum import Enum, auto

QUANTUM_S = 0.010
"""How long a turn lasts at least where somebody else waits."""
PATIENCE_S = 0.002
"""How long a device is kept for a flow that is behind and comes back at once, as a rule."""
CREDIT_S = 0.050
"""Device time of a whole device that a flow may have saved up while it asked for nothing."""
_LONGEST_GAP_S = 1.0
_MARGIN_S = 0.0005


class Stand(Enum):
    """Where a flow stands."""

    IDLE = auto()
    WAITING = auto()
    RUNNING = auto()
    PAUSED = auto()


@dataclass(eq=False)
class Flow:
    """One tenant's claim on a device."""

    name: str
    share: float
    stand: Stand = Stand.IDLE
    virtual_s: float = 0.0
    device_s: float = 0.0
    """Seconds that it had the device, in all."""
    waited_s: float = 0.0
    n_turns: int = 0
    begun: float = 0.0
    """When its present turn was first given."""
    _since: float = 0.0
    """When it last came to stand as it does."""
    _counted: float = 0.0
    _gap_s: float = _LONGEST_GAP_S
    """From a turn to the next question, as a rule."""


@dataclass(frozen=True)
class Step:
    """What is to be done now: take the device from one, and give it to another."""

    pause: Flow | None = None
    go: Flow | None = None
    is_new: bool = False
    """`go` begins a turn; it goes on with one otherwise."""


class Device:
    """One device and the flows that share it. The clock is the caller's."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.running: Flow | None = None
        self._virtual_s = 0.0

    def join(self, flow: Flow) -> None:
        """Take a flow in, with no claim on the past."""
        flow.virtual_s = self._virtual_s
        self.flows.append(flow)

    def leave(self, flow: Flow) -> None:
        """Forget a flow, whatever it was at."""
        if flow in self.flows:
            self.flows.remove(flow)
        if self.running is flow:
            self.running = None
        flow.stand = Stand.IDLE

    def ask(self, flow: Flow, now: float) -> None:
        """Put a flow among those that wait."""
        if flow.stand is not Stand.IDLE:
            return
        gap_s = min(now - flow._since, _LONGEST_GAP_S)
        flow._gap_s += 0.3 * (gap_s - flow._gap_s)
        behind = self._behind_all()
        flow.virtual_s = max(flow.virtual_s, behind - CREDIT_S / max(flow.share, 1e-6))
        flow.stand, flow._since = Stand.WAITING, now

    def end(self, flow: Flow, now: float) -> None:
        """Hear that a flow is done with its turn, or has given up waiting for it."""
        self._charge(flow, now)
        if self.running is flow:
            self.running = None
        flow.stand, flow._since = Stand.IDLE, now

    def step(self, now: float) -> Step:
        """Decide, and take it as done."""
        running = self.running
        if running is not None:
            self._charge(running, now)
            if now - running._since < QUANTUM_S:
                return Step()
            best = self._next(now, is_kept=False)
            if best is None or best.virtual_s >= running.virtual_s:
                return Step()
            running.stand, running._since, self.running = Stand.PAUSED, now, None
            return self._give(best, now, pause=running)
        best = self._next(now, is_kept=True)
        if best is None or best.stand is Stand.IDLE:
            return Step()
        return self._give(best, now)

    def look_at(self, now: float) -> float | None:
        """Return when `step` should be asked again, whatever happens; None where nothing is due."""
        others = [flow.virtual_s for flow in self.flows if flow.stand in {Stand.WAITING, Stand.PAUSED}]
        if not others:
            return None
        if (running := self.running) is not None:
            lead_s = (min(others) - running.virtual_s) * running.share
            return max(now, running._since + QUANTUM_S, running._counted + lead_s) + _MARGIN_S
        return min(
            (flow._since + PATIENCE_S for flow in self.flows if self._is_expected(flow, now)), default=now
        )

    def _give(self, flow: Flow, now: float, pause: Flow | None = None) -> Step:
        is_new = flow.stand is Stand.WAITING
        if is_new:
            flow.waited_s += now - flow._since
            flow.n_turns += 1
            flow.begun = now
        flow.stand, flow._since, flow._counted = Stand.RUNNING, now, now
        self.running = flow
        return Step(pause, flow, is_new)

    def _next(self, now: float, *, is_kept: bool) -> Flow | None:
        """Return who is furthest behind of those that want the device; perhaps one about to ask again."""
        wanting = [
            flow
            for flow in self.flows
            if flow.stand in {Stand.WAITING, Stand.PAUSED} or (is_kept and self._is_expected(flow, now))
        ]
        if all(flow.stand is Stand.IDLE for flow in wanting):
            return None
        best = min(wanting, key=lambda flow: flow.virtual_s)
        self._virtual_s = max(self._virtual_s, best.virtual_s)
        return best

    def _is_expected(self, flow: Flow, now: float) -> bool:
        """Tell whether an idle flow will ask again in a moment; once it did not, it must earn that anew."""
        if flow.stand is not Stand.IDLE or flow._gap_s > PATIENCE_S / 2:
            return False
        if now - flow._since < PATIENCE_S:
            return True
        flow._gap_s = 4 * PATIENCE_S
        return False

    def _behind_all(self) -> float:
        """Return the virtual time of who is furthest behind of those that use the device or wait for it."""
        busy = [flow.virtual_s for flow in self.flows if flow.stand is not Stand.IDLE]
        return min(busy, default=self._virtual_s)

    def _charge(self, flow: Flow, now: float) -> None:
        if flow.stand is not Stand.RUNNING:
            return
        spent_s = max(0.0, now - flow._counted)
        flow._counted = now
        flow.device_s += spent_s
        flow.virtual_s += spent_s / flow.share
