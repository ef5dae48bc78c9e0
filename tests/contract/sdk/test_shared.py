"""Endpoints that several models share, through SageMaker Python SDK v2, unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_shared")


def test_a_multi_data_model_answers_with_each_of_its_models(v2: Client) -> None:
    seen = v2("many")
    first, second, third = seen["scores"]
    assert len(first) == 2
    assert first != second
    assert third == first
    assert seen["again"] == first
    assert seen["listed"] == ["0.tar.gz", "1.tar.gz", "later/2.tar.gz"]


def test_inference_components_of_one_endpoint_answer_apart(v2: Client) -> None:
    seen = v2("components")
    first, second = seen["scores"]
    assert len(first) == 2
    assert first != second
    assert len(seen["listed"]) == 2
