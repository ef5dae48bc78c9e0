"""Typed estimators of SDK v2 - KMeans, PCA, LinearLearner, KNN - unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.compute import images
from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_rows")


def test_images_of_the_sdk_are_the_algorithms(v2: Client) -> None:
    found = v2("images")
    assert {name: images.resolve(uri).name for name, uri in found.items()} == {
        "kmeans": "kmeans",
        "pca": "pca",
        "linear-learner": "linear_learner",
        "knn": "knn",
    }


def test_k_means_is_trained_deployed_and_asked_in_records(v2: Client) -> None:
    seen = v2("k_means")
    assert set(seen["metrics"]) == {"train:msd", "test:msd", "test:ssd"}
    pairs = set(zip(seen["closest"], seen["group"], strict=True))
    assert len(pairs) == 2  # each cluster is one group
    assert 0 < seen["farthest"] < 8


def test_pca_learns_on_two_instances(v2: Client) -> None:
    seen = v2("principal_components")
    assert seen["hyperparameters"]["num_components"] == "2"
    assert seen["model"].endswith("model.tar.gz")


def test_a_linear_learner_is_measured_on_its_validation_channel(v2: Client) -> None:
    seen = v2("linear_learner")
    assert seen["validation:binary_f_beta"] > 0.95
    assert {"train:objective_loss", "validation:roc_auc_score", "validation:precision"} <= set(seen)


def test_neighbours_are_measured_on_their_test_channel(v2: Client) -> None:
    assert v2("neighbours")["test:accuracy"] > 0.95


def test_csv_that_loses_its_first_column_to_a_label_fails_with_advice(v2: Client) -> None:
    wrong, right = v2("csv_in_a_plain_estimator")
    assert "ClientError: Unable to read data channel 'train': train/train.csv has 3 features a row" in wrong
    assert "label_size=0" in wrong
    assert right == ""
