"""Who may use a device next: virtual time by declared share, one turn at a time.

IDLE ──asks──▶ WAITING ──go──▶ RUNNING ──ends──▶ IDLE
  └──────begins at a free device─────▶ │  ▲
                                       ▼  │ another is behind, and the quantum is over
                                      PAUSED

A flow's virtual time grows by the seconds that it has the device, divided by its share; who is furthest
behind goes next. What nobody asks for is anybody's: shares bind only while others wait.

Source
------
Goyal, Vin, Cheng (1996), "Start-time Fair Queuing", doi:10.1145/248157.248171; Iyer, Druschel (2001),
"Anticipatory scheduling", doi:10.1145/502034.502046, for the moment that a device is kept for one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

QUANTUM_S = 0.010
"""How long a turn lasts at least where somebody else waits, unless they are behind by as much."""
LEAST_S = 0.001
"""How long it lasts in any case."""
PATIENCE_S = 0.002
"""How long a device is kept for a flow that is behind and comes back at once, as a rule."""
CREDIT_S = 0.050
"""Device time of a whole device that a flow may have saved up while it asked for nothing."""
BUSY = 0.125
"""Part of a turn that a process computes, at least, unless it sleeps; what others of the machine take of its
core meanwhile is not charged."""
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
    meter: Callable[[], float] | None = None
    """Seconds that its process has computed, where that is what the device is; else the clock tells."""
    _since: float = 0.0
    """When it last came to stand as it does."""
    _counted: float = 0.0
    _metered: float = 0.0
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

    def begin(self, flow: Flow, now: float) -> bool:
        """Hear that a flow took the device without asking, as it was free; return whether it still was."""
        self.ask(flow, now)
        if self.running is None:
            self._give(flow, now)
            return True
        flow.n_turns += 1
        flow.begun, flow.stand = now, Stand.PAUSED
        return False

    @property
    def is_free(self) -> bool:
        """Tell whether who wants the device may just take it."""
        return self.running is None and all(flow.stand is Stand.IDLE for flow in self.flows)

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
            best = self._next(now, is_kept=False)
            if best is None or now < self._until(running, best):
                return Step()
            running.stand, running._since, self.running = Stand.PAUSED, now, None
            return self._give(best, now, pause=running)
        best = self._next(now, is_kept=True)
        if best is None or best.stand is Stand.IDLE:
            return Step()
        return self._give(best, now)

    def look_at(self, now: float) -> float | None:
        """Return when `step` should be asked again, whatever happens; None where nothing is due."""
        others = [flow for flow in self.flows if flow.stand in {Stand.WAITING, Stand.PAUSED}]
        if not others:
            return None
        if self.running is not None:
            best = min(others, key=lambda flow: flow.virtual_s)
            return max(now, self._until(self.running, best)) + _MARGIN_S
        return min(
            (flow._since + PATIENCE_S for flow in self.flows if self._is_expected(flow, now)), default=now
        )

    def _until(self, running: Flow, best: Flow) -> float:
        """Return when the device is taken from `running` for `best`."""
        lead_s = best.virtual_s - running.virtual_s
        if -lead_s * best.share > QUANTUM_S:
            return running._since + LEAST_S
        return max(running._since + QUANTUM_S, running._counted + lead_s * running.share)

    def _give(self, flow: Flow, now: float, pause: Flow | None = None) -> Step:
        is_new = flow.stand is Stand.WAITING
        if is_new:
            flow.waited_s += now - flow._since
            flow.n_turns += 1
            flow.begun = now
        flow.stand, flow._since, flow._counted = Stand.RUNNING, now, now
        if is_new and flow.meter is not None:  # who was paused pays for what it did until it stood still
            flow._metered = flow.meter()
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
        if flow.meter is not None:
            metered = flow.meter()
            used_s = metered - flow._metered
            flow._metered = metered
            if used_s > BUSY * spent_s:  # else it slept, and kept the device from others all the same
                spent_s = used_s
        flow.device_s += spent_s
        flow.virtual_s += spent_s / flow.share
