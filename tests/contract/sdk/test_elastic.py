"""`deploy(accelerator_type=…)` of SageMaker Python SDK v2, unmodified, against a live Clary."""

from clary.testing.server import ClaryServer

from .conftest import client, python_of


def test_two_endpoints_share_an_accelerator_and_answer_as_one_without(clary_server: ClaryServer) -> None:
    for seen in client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_elastic"):
        found = seen("shared")
        assert found["types"] == ["ml.eia2.medium", "ml.eia1.medium", None]
        assert len(found["scores"][0]) == 2
        assert found["scores"] == [found["scores"][0]] * 3
