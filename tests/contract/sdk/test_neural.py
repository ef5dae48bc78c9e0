"""SDK v2's IPInsights, NTM and Object2Vec, unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.compute import images
from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_neural")


def test_images_of_the_sdk_are_the_algorithms(v2: Client) -> None:
    assert {name: images.resolve(uri).name for name, uri in v2("images").items()} == {
        "ipinsights": "ipinsights",
        "ntm": "ntm",
        "object2vec": "object2vec",
    }


def test_the_log_of_ntm_has_topics_in_words(v2: Client) -> None:
    found = v2("vocabulary_of_ntm")
    assert len(found) == 4
    assert all("word" in line for line in found[1:])


@pytest.mark.slow
def test_ip_insights_is_trained_deployed_asked_and_transformed(v2: Client) -> None:
    seen = v2("ip_insights")
    known, foreign = seen["products"]
    assert known > 0 > foreign
    assert seen["transformed"] == seen["products"]
    assert seen["metrics"]["train:binary_classification_accuracy:epoch"] > 0.6


@pytest.mark.slow
def test_ntm_is_trained_deployed_and_asked_in_records(v2: Client) -> None:
    seen = v2("ntm")
    assert "validation:total_loss" in seen["metrics"]
    best = [max(range(3), key=row.__getitem__) for row in seen["weights"]]
    assert len(set(zip(best, seen["group"], strict=True))) == 3  # each topic is one group


@pytest.mark.slow
def test_object2vec_is_trained_deployed_asked_and_transformed(v2: Client) -> None:
    seen = v2("object2vec")
    right = [int(a < b) == label for (a, b), label in zip(seen["scores"], seen["labels"], strict=True)]
    assert sum(right) >= 18
    assert seen["width"] == 8
    assert seen["transformed"] == seen["scores"]
    assert seen["metrics"]["train:accuracy"] > 0.8


@pytest.mark.slow
def test_a_second_instance_of_object2vec_is_refused(v2: Client) -> None:
    assert "InstanceCount must be 1" in v2("several_instances_of_object2vec")
