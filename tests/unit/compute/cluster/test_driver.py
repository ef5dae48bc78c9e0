"""The driver's orders, to keepers that are not Ray's."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs pip install 'clary[ray]'")
pytestmark = pytest.mark.ray


def keeper(asked: list[str], error: Exception | None = None) -> Any:
    """Return a keeper that notes what it is asked, and answers at once or fails."""

    def remote(run: str, *_: object) -> Any:
        future: Future[list[str]] = Future()
        asked.append(run)
        if error is None:
            future.set_result([])
        else:
            future.set_exception(error)
        return SimpleNamespace(future=lambda: future)

    return SimpleNamespace(free=SimpleNamespace(remote=remote), seat=SimpleNamespace(remote=remote))


@pytest.fixture
def driver() -> Any:
    from clary.compute.cluster.driver import Driver  # noqa: PLC0415 - of Ray

    return Driver(lambda _: None, "clary", 5.0)


def work(driver: Any) -> None:
    """Do what there is to do now, and nothing that is for later."""
    while not driver._work.empty():
        driver._work.get()()


GONE = RuntimeError("the actor died")


def test_places_are_given_back_by_another_keeper_where_the_first_does_not_answer(driver: Any) -> None:
    first: list[str] = []
    second: list[str] = []
    driver._keepers = {"a": keeper(first, GONE), "b": keeper(second)}
    driver.drop("run", {})
    work(driver)
    assert (first, second) == (["run"], ["run"])
    driver.drop("other", {})
    work(driver)
    assert (first, second) == (["run"], ["run", "other"])


def test_a_run_that_has_places_again_keeps_them_though_its_last_were_not_given_back(driver: Any) -> None:
    asked: list[str] = []
    driver._keepers = {"a": keeper([], GONE), "b": keeper(asked)}
    driver.drop("run", {})
    driver._seating["run"] = object()
    work(driver)
    driver._trust("b")
    work(driver)
    assert asked == []


def test_keepers_that_all_fail_are_asked_once_each_and_again_when_one_is_heard(driver: Any) -> None:
    asked: list[str] = []
    driver._keepers = {"a": keeper(asked, GONE), "b": keeper(asked, GONE)}
    driver.drop("run", {})
    work(driver)
    assert asked == ["run", "run"]
    assert not any(isinstance(each, threading.Timer) for each in threading.enumerate())
    driver._keepers["b"] = keeper(asked)
    driver._trust("b")
    work(driver)
    driver._trust("b")
    work(driver)
    assert asked == ["run"] * 3


def test_places_that_nobody_was_there_to_give_back_are_by_the_first_keeper(driver: Any) -> None:
    asked: list[str] = []
    driver.drop("run", {})
    work(driver)
    driver._keepers = {"a": keeper(asked)}
    driver._trust("a")
    work(driver)
    assert asked == ["run"]


def test_a_group_made_by_a_keeper_that_died_after_its_run_was_dropped_is_given_back(driver: Any) -> None:
    asked: list[str] = []
    driver._keepers = {"a": keeper([], GONE), "b": keeper(asked)}
    driver.seat("run", 1, {"CPU": 1.0}, False)
    driver._seating.clear()  # dropped, before the group was there
    work(driver)
    assert asked == ["run"]
