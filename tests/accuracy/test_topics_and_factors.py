"""LDA against scikit-learn's, and Factorization Machines against what made the data."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.metrics import roc_auc_score

from clary.algorithms import base
from clary.algorithms.base import Source, Training
from clary.algorithms.lda.fit import likelihood
from clary.algorithms.lda.predict import Topics, as_counts
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import recordio_protobuf

N_TOPICS, N_WORDS = 8, 300


def train(name: str, folder: Any, params: Any, rows: Any, labels: Any = None, **more: Any) -> Any:
    """Train on arrays; return the model's arrays."""
    (folder / "train").mkdir()
    (folder / "train/part").write_bytes(recordio_protobuf.write(rows, labels))
    algorithm = base.find(name)
    algorithm.fit(
        Training(
            params=algorithm.validate({key: str(value) for key, value in params.items()}),
            sources={"train": Source(name="train", path=folder / "train")},
            model_dir=folder / "model",
            output_data_dir=folder / "output",
            n_threads=1,
            **more,
        )
    )
    return np.load(folder / "model/model_algo-1")


@pytest.fixture(scope="module")
def documents() -> Any:
    """Return counts of 500 documents, and the topics that they are drawn from."""
    draw = np.random.default_rng(1)
    topics = draw.dirichlet(np.full(N_WORDS, 0.05), N_TOPICS)
    mixtures = draw.dirichlet(np.full(N_TOPICS, 0.2), 500)
    return draw.poisson(120 * mixtures @ topics).astype(np.float32), topics


def test_topics_are_found_and_documents_likelier_than_with_scikit_learn(
    documents: Any, tmp_path: Any
) -> None:
    counts, topics = documents
    params = {"num_topics": N_TOPICS, "feature_dim": N_WORDS, "mini_batch_size": 400}
    model = train("lda", tmp_path, params, counts[:400])
    alike = (topics @ model["beta"].T) / np.linalg.norm(topics, axis=1)[:, None]
    alike /= np.linalg.norm(model["beta"], axis=1)
    assert np.median(alike.max(axis=1)) > 0.98
    assert (np.diff(model["alpha"]) != 0).any()
    assert model["alpha"].sum() == pytest.approx(1, rel=1e-4)
    peer = LatentDirichletAllocation(N_TOPICS, max_iter=20, random_state=0).fit(counts[:400])
    theirs = peer.components_ / peer.components_.sum(axis=1, keepdims=True)
    held_out = as_counts(counts[400:])
    ours = likelihood(Topics(model["alpha"], model["beta"]), held_out)
    assert ours >= likelihood(Topics(np.full(N_TOPICS, 1 / N_TOPICS), theirs), held_out) - 0.01


def test_a_corpus_too_small_for_its_topics_still_has_them(tmp_path: Any) -> None:
    params = {"num_topics": 6, "feature_dim": 4, "mini_batch_size": 3}
    model = train("lda", tmp_path, params, np.array([[1, 1, 0, 0], [2, 0, 0, 0], [0, 0, 1, 1]], np.float32))
    np.testing.assert_allclose(model["beta"].sum(axis=1), np.ones(6), rtol=1e-5)
    assert np.isfinite(model["alpha"]).all()


def test_lda_trains_on_one_instance_and_on_counts(tmp_path: Any) -> None:
    params = {"num_topics": 2, "feature_dim": 3, "mini_batch_size": 3}
    rows = np.array([[1, 2, -1]], np.float32)
    with pytest.raises(CustomerError, match="InstanceCount to 1"):
        train("lda", tmp_path, params, rows, hosts=("algo-1", "algo-2"))
    (tmp_path / "again").mkdir()
    with pytest.raises(CustomerError, match="train/part, record 0: a count below 0"):
        train("lda", tmp_path / "again", params, rows)


@pytest.mark.parametrize("kind", ["regressor", "binary_classifier"])
def test_pairs_that_were_never_seen_are_foreseen(kind: str, tmp_path: Any) -> None:
    draw = np.random.default_rng(2)
    n_users, n_things, n_rows = 120, 80, 8000
    tastes, traits = draw.normal(size=(n_users, 3)), draw.normal(size=(n_things, 3))
    pairs = draw.permutation(n_users * n_things)[:n_rows]
    users, things = pairs // n_things, pairs % n_things
    truth = (tastes[users] * traits[things]).sum(axis=1) / 3**0.5
    keys = np.column_stack((users, n_users + things)).ravel()
    starts = np.arange(0, 2 * n_rows + 1, 2)
    rows = sparse.csr_matrix((np.ones(2 * n_rows, np.float32), keys, starts), (n_rows, n_users + n_things))
    labels = (truth + 0.2 * draw.normal(size=n_rows)).astype(np.float32)
    labels = (labels > 0).astype(np.float32) if kind == "binary_classifier" else labels
    params = {
        "feature_dim": n_users + n_things, "num_factors": 6, "predictor_type": kind, "epochs": 20,
        "mini_batch_size": 100, "linear_lr": 0.01, "factors_lr": 0.02, "factors_init_sigma": 0.1,
    }  # fmt: skip
    model = train("factorization_machines", tmp_path, params, rows[:7000], labels[:7000])
    own = rows[7000:].toarray() @ model["factors"]
    squares = (rows[7000:].toarray() ** 2) @ model["factors"] ** 2
    found = model["bias"] + rows[7000:] @ model["linear"] + 0.5 * (own**2 - squares).sum(axis=1)
    if kind == "regressor":
        assert np.sqrt(np.mean((found - truth[7000:]) ** 2)) < 0.3  # the truth's deviation is 1
    else:
        assert roc_auc_score(truth[7000:] > 0, found) > 0.95
