"""RandomCutForest, FactorizationMachines and LDA of SDK v2, unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.compute import images
from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of

pytestmark = pytest.mark.timeout(360)


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_sparse")


def test_images_of_the_sdk_are_the_algorithms(v2: Client) -> None:
    assert {name: images.resolve(uri).name for name, uri in v2("images").items()} == {
        "randomcutforest": "randomcutforest",
        "factorization-machines": "factorization_machines",
        "lda": "lda",
    }


def test_a_forest_is_measured_and_scores_what_is_far_highest(v2: Client) -> None:
    seen = v2("forest")
    assert set(seen["metrics"]) == {"test:f1", "test:precision", "test:recall", "test:accuracy"}
    assert seen["metrics"]["test:f1"] > 0.8
    scores = [score for [score] in seen["scores"]]
    assert min(scores[:6]) > max(scores[6:])


def test_factors_are_learned_from_dense_records(v2: Client) -> None:
    seen = v2("factors")
    assert seen["test:binary_classification_accuracy"] > 0.95
    assert {"test:binary_f_beta", "test:binary_classification_cross_entropy"} <= set(seen)
    assert "train:binary_classification_accuracy" in seen


def test_factors_are_learned_from_sparse_records_and_asked_in_json(v2: Client) -> None:
    seen = v2("sparse_factors")
    assert seen["metrics"]["test:rmse"] < 0.3
    like, dislike = (each["score"] for each in seen["said"]["predictions"])
    assert like > 0.7
    assert dislike < 0.3


def test_documents_have_mixtures_of_topics(v2: Client) -> None:
    seen = v2("lda")
    assert -4 < seen["metrics"]["test:pwll"] < 0
    for mixture in seen["mixtures"]:
        assert len(mixture) == 3
        assert sum(mixture) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_main_metrics_are_tuned_over_three_values_and_a_forest_transforms(v2: Client) -> None:
    seen = v2("tuned")
    assert {name: len(values) for name, values in seen["objectives"].items()} == {
        "test:f1": 3,
        "test:rmse": 3,
        "test:pwll": 3,
    }
    assert len(set(seen["objectives"]["test:rmse"])) == 3
    assert len(seen["scores"]) == 50
    assert min(seen["scores"][:6]) > max(seen["scores"][6:])
