"""The published example notebooks of tuning through SDK v2, unmodified; see `programs/tuning_examples.py`."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.documented]


@pytest.fixture(scope="module")
def examples(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v2, of an account of its own."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "tuning_examples")


def test_a_training_on_several_hosts_is_tuned_with_hyperband(examples: Client) -> None:
    seen = examples("hyperband")
    assert {"train:auc", "validation:auc"} <= set(seen["metrics"])
    assert (seen["status"], seen["n"], seen["hosts"]) == ("Completed", 4, 2)
    assert seen["best"] == pytest.approx(seen["best_of_table"])
    assert seen["seconds"] > 0


def test_random_search_on_two_scales_is_compared_analysed_and_deployed(examples: Client) -> None:
    seen = examples("scales")
    assert seen["n"] == {"Linear": 5, "Logarithmic": 5}
    assert all(0.01 <= value <= 10 for value in seen["median"].values())
    assert seen["endpoint"] == "InService"
    assert seen["analysed"] == {
        "n_completed": 5,
        "best_is_first": True,
        "ranges": {"alpha": [0.01, 10], "lambda": [0.01, 10]},
        "times": True,
    }
