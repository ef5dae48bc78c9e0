"""K-means, PCA, Linear Learner and k-NN against scikit-learn, on data that it ships.

Digits, 1,797 x 64, ten classes; breast cancer, 569 x 30, two; diabetes, 442 x 10, a number.
Tolerances are beside each comparison: seeds and mini-batches are drawn, components and neighbours exact.
"""

import json
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.toolkit.formats import recordio_protobuf


@pytest.fixture
def trained(tmp_path: Any) -> Any:
    """Train on arrays; return the model's arrays and what it says of rows."""

    def train(
        name: str, params: Any, rows: Any, labels: Any = None, asked: Any = None, validation: Any = None
    ) -> Any:
        channels = {"train": (rows, labels)} | ({"validation": validation} if validation else {})
        for channel, (features, targets) in channels.items():
            (tmp_path / channel).mkdir()
            body = recordio_protobuf.write(np.asarray(features, np.float32), targets)
            (tmp_path / channel / "part").write_bytes(body)
        algorithm = base.find(name)
        algorithm.fit(
            Training(
                params=algorithm.validate({key: str(value) for key, value in params.items()}),
                sources={channel: Source(name=channel, path=tmp_path / channel) for channel in channels},
                model_dir=tmp_path / "model",
                output_data_dir=tmp_path / "output",
                n_threads=1,
            )
        )
        question = recordio_protobuf.write(np.asarray(rows if asked is None else asked, np.float32))
        [answer] = algorithm.load(tmp_path / "model", {}).predict_many([Question(body=question)])
        return np.load(tmp_path / "model/model_algo-1"), next(iter(json.loads(answer.body).values()))

    return train


def test_k_means_finds_clusters_as_tight_as_scikit_learns(trained: Any) -> None:
    rows = datasets.load_digits().data
    model, said = trained("kmeans", {"feature_dim": 64, "k": 10, "epochs": 10}, rows)
    peer = KMeans(10, n_init=5, random_state=0).fit(rows)
    msd = np.mean([row["distance_to_cluster"] ** 2 for row in said])
    assert msd <= peer.inertia_ / len(rows) * 1.01  # of five starts
    assert model["centers"].shape == (10, 64)


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_principal_components_are_scikit_learns(trained: Any, mode: str) -> None:
    rows = datasets.load_digits().data
    params = {"feature_dim": 64, "num_components": 5, "mini_batch_size": 500, "algorithm_mode": mode}
    model, said = trained("pca", params, rows)
    peer = PCA(5, svd_solver="full").fit(rows)
    np.testing.assert_allclose(model["s"][::-1], peer.singular_values_, rtol=2e-3)
    if mode == "regular":
        np.testing.assert_allclose(np.abs(model["v"][:, ::-1].T), np.abs(peer.components_), atol=1e-3)
        projected = np.array([row["projection"] for row in said])[:, ::-1]
        np.testing.assert_allclose(np.abs(projected), np.abs(peer.transform(rows)), atol=2e-2)


def test_a_linear_classifier_is_as_good_as_logistic_regression(trained: Any) -> None:
    rows, labels = datasets.load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(rows, labels, random_state=0)
    params = {"feature_dim": 30, "predictor_type": "binary_classifier", "mini_batch_size": 50, "epochs": 30}
    x_own, x_valid, y_own, y_valid = train_test_split(x_train, y_train, test_size=0.25, random_state=1)
    _, said = trained("linear_learner", params, x_own, y_own, x_test, (x_valid, y_valid))
    scaler = StandardScaler().fit(x_train)
    peer = LogisticRegression().fit(scaler.transform(x_train), y_train)
    theirs = log_loss(y_test, peer.predict_proba(scaler.transform(x_test)))
    assert log_loss(y_test, [row["score"] for row in said]) <= theirs + 0.05
    right = np.mean([row["predicted_label"] for row in said] == y_test)
    assert right >= peer.score(scaler.transform(x_test), y_test) - 0.02


def test_a_linear_regressor_comes_to_least_squares(trained: Any) -> None:
    rows, labels = datasets.load_diabetes(return_X_y=True)
    params = {"feature_dim": 10, "predictor_type": "regressor", "mini_batch_size": 44, "epochs": 60}
    _, said = trained("linear_learner", params, rows, labels)
    peer = LinearRegression().fit(rows, labels).predict(rows)
    ours = np.array([row["score"] for row in said])
    assert np.mean((ours - labels) ** 2) <= np.mean((peer - labels) ** 2) * 1.01


def test_neighbours_are_exact(trained: Any) -> None:
    rows, labels = datasets.load_digits(return_X_y=True)
    x_train, x_test, y_train, _ = train_test_split(rows, labels, random_state=0)
    params = {"feature_dim": 64, "k": 5, "predictor_type": "classifier", "sample_size": 5000}
    _, said = trained("knn", params, x_train, y_train, x_test)
    peer = KNeighborsClassifier(5, algorithm="brute").fit(x_train, y_train).predict(x_test)
    assert np.mean([row["predicted_label"] for row in said] == peer) >= 0.995  # ties fall differently
