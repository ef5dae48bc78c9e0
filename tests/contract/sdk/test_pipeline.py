"""Inference pipelines of unmodified SDKs, against a live Clary."""

import itertools
from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_pipeline")


def scores(found: list[list[str]]) -> list[float]:
    return [float(each) for each in itertools.chain(*found)]


def test_v2_serves_and_transforms_a_pipeline_of_a_script_and_xgboost(v2: Client) -> None:
    seen = v2("pipeline")
    assert seen["containers"] == 2
    assert seen["status"] == "Completed", seen["reason"]
    both = scores(seen["both"])
    assert both == pytest.approx(scores(seen["alone"]), abs=1e-4)
    assert [float(each) for each in seen["batch"]] == pytest.approx(both, abs=1e-6)
