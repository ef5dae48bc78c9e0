"""The kinds of endpoints of SageMaker Python SDK v2, unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_hosting")


def test_captured_serverless_and_asynchronous_endpoints_answer_alike(v2: Client) -> None:
    seen = v2("variety")
    first = seen["scores"][0]
    assert len(first) == 2
    assert seen["scores"] == [first] * 4
    assert seen["encoding"] == "CSV"
    assert len(seen["captured"]) == 1
    assert seen["instances"] == 2
