"""Places that are asked for and given back, by keepers that are not Ray's."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.cluster.places import Places


class Keeper:
    """Notes what it is asked; fails where it is to, and answers when the test says so where that is later."""

    def __init__(self, *, nodes: tuple[str, ...] = (), fails: bool = False, is_late: bool = False) -> None:
        self.nodes, self.fails, self.is_late = nodes, fails, is_late
        self.freed: list[str] = []
        self.seated: list[str] = []
        self.answers: list[Callable[[], None]] = []
        self.free = SimpleNamespace(remote=lambda run: self.asked(self.freed, run, None))
        self.seat = SimpleNamespace(remote=lambda run, *_: self.asked(self.seated, run, self.nodes))

    def asked(self, noted: list[str], run: str, result: Any) -> Any:
        noted.append(run)
        return self, result

    def ended(
        self, result: Any, done: Callable[[Any], None], failed: Callable[[BaseException], None]
    ) -> None:
        def answer() -> None:
            failed(RuntimeError("the actor died")) if self.fails else done(result)

        self.answers.append(answer) if self.is_late else answer()


class Told:
    """Places, the driver's part of which is the test's."""

    def __init__(self, **keepers: Keeper) -> None:
        self.keepers = keepers
        self.events: list[Any] = []
        self.later: list[Callable[[], None]] = []
        self.places = Places(
            keepers,
            lambda asked, done, failed: asked[0].ended(asked[-1], done, failed),
            lambda _seconds, work: self.later.append(work),
            self.events.append,
        )

    def seat(self, run: str, turn: int = 1) -> None:
        self.places.seat(run, 1, {"CPU": 1.0}, False, turn)

    def wait(self) -> None:
        """Let the time pass after which something is tried again."""
        works, self.later[:] = list(self.later), []
        for work in works:
            work()


def test_places_are_told_with_the_turn_that_they_were_asked_for() -> None:
    told = Told(a=Keeper(nodes=("a",)))
    told.seat("run", turn=3)
    assert told.events == [{"event": "seated", "run": "run", "nodes": ("a",), "turn": 3}]


def test_places_are_given_back_by_another_keeper_where_the_first_does_not_answer() -> None:
    told = Told(a=Keeper(fails=True), b=Keeper())
    told.places.free("run")
    told.places.free("other")
    assert told.keepers["a"].freed == ["run"], "after that it is in doubt"
    assert told.keepers["b"].freed == ["run", "other"]


def test_keepers_that_all_fail_are_asked_once_each_and_again_when_one_is_heard() -> None:
    told = Told(a=Keeper(fails=True), b=Keeper(fails=True))
    told.places.free("run")
    told.wait()
    assert (told.keepers["a"].freed, told.keepers["b"].freed) == (["run"], ["run"])
    told.keepers["b"].fails = False
    told.places.trust("b")
    told.places.trust("b")
    assert (told.keepers["a"].freed, told.keepers["b"].freed) == (["run"], ["run"] * 2)


def test_places_that_nobody_was_there_to_give_back_are_by_the_first_keeper() -> None:
    told = Told()
    told.places.free("run")
    told.keepers["a"] = Keeper()
    told.places.trust("a")
    assert told.keepers["a"].freed == ["run"]


def test_a_run_is_seated_anew_only_when_what_it_had_is_given_back() -> None:
    told = Told(a=Keeper(nodes=("a",), is_late=True))
    told.places.free("run")
    told.seat("run", turn=2)
    told.wait()
    assert not told.keepers["a"].seated
    told.keepers["a"].answers.pop()()
    told.wait()
    told.keepers["a"].answers.pop()()
    assert [each["turn"] for each in told.events] == [2]
    assert told.keepers["a"].freed == ["run"]


def test_a_run_let_go_twice_is_seated_anew_only_after_both() -> None:
    told = Told(a=Keeper(nodes=("a",), is_late=True))
    for _ in range(2):
        told.places.free("run")
    told.seat("run")
    told.keepers["a"].answers.pop()()
    told.wait()
    assert not told.keepers["a"].seated
    told.keepers["a"].answers.pop()()
    told.wait()
    assert told.keepers["a"].seated == ["run"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_group_that_was_made_when_its_run_was_let_go_is_given_back(fails: bool) -> None:
    told = Told(a=Keeper(nodes=("a",), fails=fails, is_late=True), b=Keeper())
    told.seat("run")
    told.places.let_go("run")
    told.keepers["a"].answers.pop()()
    assert told.events == []
    assert (told.keepers["b"] if fails else told.keepers["a"]).freed == ["run"]


def test_a_keeper_that_fails_does_not_hold_up_who_waits_for_places() -> None:
    told = Told(a=Keeper(fails=True), b=Keeper(nodes=("b",)))
    told.seat("run")
    told.wait()
    assert [each["nodes"] for each in told.events] == [("b",)]
