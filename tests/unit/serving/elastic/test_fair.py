"""Virtual time by share: laws of who goes next, over a clock of the test's own."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from clary.serving.elastic.fair import CREDIT_S, PATIENCE_S, QUANTUM_S, Device, Flow, Stand


class Bench:
    """Flows that ask without rest, each for turns of its own length."""

    def __init__(self, shares: Sequence[float], lengths: Sequence[float], gaps: Sequence[float] = ()) -> None:
        self.device = Device()
        self.now = 0.0
        self.flows = [Flow(f"flow {n}", share) for n, share in enumerate(shares)]
        self.lengths = dict(zip([flow.name for flow in self.flows], lengths, strict=True))
        self.gaps = dict(zip([flow.name for flow in self.flows], gaps or [0.0] * len(shares), strict=True))
        self.left: dict[str, float] = {}
        self.back: dict[str, float] = {}
        for flow in self.flows:
            self.device.join(flow)
            self.device.ask(flow, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self._ask_again()
            step = self.device.step(self.now)
            if step.go is not None and step.is_new:
                self.left[step.go.name] = self.lengths[step.go.name]
            running = self.device.running
            until = [at for at in self.back.values() if at > self.now]
            if (due := self.device.look_at(self.now)) is not None and due > self.now:
                until.append(due)
            if running is not None:
                until.append(self.now + self.left[running.name])
            assert until, "nobody has the device, and nothing is due"
            passed = min(until) - self.now
            self.now = min(until)
            if running is None:
                continue
            self.left[running.name] -= passed
            if self.left[running.name] <= 1e-12:
                self.device.end(running, self.now)
                self.back[running.name] = self.now + self.gaps[running.name]

    def _ask_again(self) -> None:
        for flow in self.flows:
            if self.back.get(flow.name, self.now + 1) <= self.now:
                del self.back[flow.name]
                self.device.ask(flow, self.now)

    def parts(self) -> list[float]:
        total = sum(flow.device_s for flow in self.flows)
        return [flow.device_s / total for flow in self.flows]


@settings(max_examples=20, deadline=None)
@given(
    weights=st.lists(st.sampled_from([1, 2, 4]), min_size=2, max_size=6),
    lengths=st.lists(st.floats(0.0005, 0.2), min_size=6, max_size=6),
)
def test_under_saturation_each_has_its_share_whatever_the_length_of_its_turns(
    weights: list[int], lengths: list[float]
) -> None:
    shares = [weight / sum(weights) for weight in weights]
    bench = Bench(shares, lengths[: len(shares)])
    bench.run(30.0)
    for share, part in zip(shares, bench.parts(), strict=True):
        assert abs(part - share) < 0.05 * share + 0.005


def test_one_who_comes_back_in_a_moment_loses_nothing_by_it() -> None:
    bench = Bench([0.75, 0.25], [0.004, 0.02], [PATIENCE_S / 8, 0.0])
    bench.run(20.0)
    assert abs(bench.parts()[0] - 0.75) < 0.02


def test_what_nobody_asks_for_is_anybodys() -> None:
    bench = Bench([0.25], [0.005])
    bench.run(1.0)
    assert bench.flows[0].device_s > 0.99


def test_one_that_was_away_has_no_more_than_its_credit() -> None:
    bench = Bench([0.5, 0.5], [0.01, 0.01])
    away = Flow("away", 0.5)
    bench.device.join(away)
    bench.run(10.0)
    bench.lengths["away"] = 100.0
    bench.gaps["away"] = 0.0
    bench.flows.append(away)
    before = [flow.device_s for flow in bench.flows]
    bench.device.ask(away, bench.now)
    bench.run(1.0)
    got = [flow.device_s - earlier for flow, earlier in zip(bench.flows, before, strict=True)]
    assert got[2] < 1.0 / 3 + CREDIT_S + 2 * QUANTUM_S


def test_a_long_turn_is_paused_for_a_short_one_and_goes_on() -> None:
    device = Device()
    long, short = Flow("long", 0.5), Flow("short", 0.5)
    for flow in (long, short):
        device.join(flow)
    device.ask(long, 0.0)
    step = device.step(0.0)
    assert step.go is long
    assert step.is_new
    device.ask(short, 0.001)
    assert device.step(0.002).go is None, "a quantum is everybody's"
    step = device.step(QUANTUM_S)
    assert (step.pause, step.go, step.is_new) == (long, short, True)
    assert long.stand is Stand.PAUSED
    device.end(short, QUANTUM_S + 0.001)
    step = device.step(QUANTUM_S + 0.001 + PATIENCE_S)
    assert (step.pause, step.go, step.is_new) == (None, long, False)


def test_of_two_that_take_a_free_device_at_once_one_is_paused() -> None:
    device = Device()
    first, second = Flow("first", 0.5), Flow("second", 0.5)
    for flow in (first, second):
        device.join(flow)
    assert device.begin(first, 0.0)
    assert not device.begin(second, 0.0)
    assert (first.stand, second.stand) == (Stand.RUNNING, Stand.PAUSED)
    device.end(first, 0.001)
    step = device.step(0.001 + PATIENCE_S)
    assert (step.go, step.is_new) == (second, False)
    device.end(second, 0.004)
    assert device.begin(first, 0.005), "it is free again"


def test_one_far_behind_does_not_wait_for_the_end_of_a_quantum() -> None:
    device = Device()
    poor, rich = Flow("poor", 0.5), Flow("rich", 0.5)
    for flow in (poor, rich):
        device.join(flow)
    device.ask(rich, 0.0)
    device.step(0.0)
    device.step(0.03)
    device.end(rich, 0.03)
    device.ask(rich, 0.03)
    device.step(0.03)
    device.ask(poor, 0.0301)
    step = device.step(0.0312)
    assert (step.pause, step.go) == (rich, poor)


def test_what_others_of_the_machine_take_is_not_charged_but_sleep_is() -> None:
    device = Device()
    seconds = [0.0]
    flow = Flow("one", 1.0, meter=lambda: seconds[0])
    device.join(flow)
    device.ask(flow, 0.0)
    device.step(0.0)
    seconds[0] = 0.5
    device.end(flow, 1.0)
    assert flow.device_s == 0.5
    device.ask(flow, 1.0)
    device.step(1.0)
    device.end(flow, 2.0)
    assert flow.device_s == 1.5


def test_one_that_leaves_in_its_turn_leaves_the_device_free() -> None:
    device = Device()
    first, second = Flow("first", 0.5), Flow("second", 0.5)
    for flow in (first, second):
        device.join(flow)
        device.ask(flow, 0.0)
    device.step(0.0)
    device.leave(first)
    assert device.step(0.001).go is second
