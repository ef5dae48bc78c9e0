"""The driver's orders, to keepers that are not Ray's."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs pip install 'clary[ray]'")
pytestmark = pytest.mark.ray


def keeper(asked: list[str], error: Exception | None = None) -> Any:
    """Return a keeper that notes whose places are to be given back, or fails."""

    def remote(run: str) -> Any:
        future: Future[None] = Future()
        if error is None:
            asked.append(run)
            future.set_result(None)
        else:
            future.set_exception(error)
        return SimpleNamespace(future=lambda: future)

    return SimpleNamespace(free=SimpleNamespace(remote=remote))


@pytest.mark.parametrize("is_seated_again", [False, True])
def test_places_are_given_back_where_the_keeper_that_was_asked_is_gone(is_seated_again: bool) -> None:
    from clary.compute.cluster.driver import Driver  # noqa: PLC0415 - of Ray

    asked: list[str] = []
    driver = Driver(lambda _: None, "clary", 5.0)
    driver._keepers = {"a": keeper(asked, RuntimeError("the actor died")), "b": keeper(asked)}
    driver.drop("run", {})
    driver._work.get(timeout=10)()  # type: ignore[misc]  # it failed
    del driver._keepers["a"]
    if is_seated_again:
        driver._seating["run"] = object()
    driver._work.get(timeout=10)()  # type: ignore[misc]  # once more
    assert asked == ([] if is_seated_again else ["run"])
