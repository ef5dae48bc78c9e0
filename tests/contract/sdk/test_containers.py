"""Published scripts import what AWS's containers have installed: SDK v2's script mode has it."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_containers")


@pytest.mark.parametrize(("hosts", "parts"), [(1, 1), (2, 2), (3, 2)], ids=["one", "two", "one without data"])
def test_xgboost_trains_with_the_containers_own_functions(v2: Client, hosts: int, parts: int) -> None:
    assert v2("abalone", hosts, parts) > 0.9


def test_a_script_of_the_older_kind_finds_its_environment_and_answers_with_responses(v2: Client) -> None:
    seen = v2("featurizer")
    assert seen["mean"] < 0.01
    told = seen["seen"]
    assert told["hosts"] == ["algo-1"]
    assert told["hyperparameters"] == told["read"] == {"n": 5}
    assert told["job"] == seen["name"]
    assert len(told["refusals"]) == 2
    assert all("requirements.txt" in text for text in told["refusals"])
