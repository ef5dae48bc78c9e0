"""Random Cut Forest against scikit-learn's IsolationForest, on data that it ships."""

import numpy as np
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from clary.algorithms.randomcutforest.fit import _parts, judged
from clary.algorithms.randomcutforest.forest import Forest


def aucs(digit: int) -> tuple[float, float]:
    """Return areas under the ROC curve, ours and theirs, for images of one digit and twelve of others."""
    images, labels = datasets.load_digits(return_X_y=True)
    chosen = np.concatenate((np.flatnonzero(labels == digit), np.flatnonzero(labels != digit)[:12]))
    rows, truth = images[chosen].astype(np.float32), labels[chosen] != digit
    draw = np.random.default_rng(0)
    scores = Forest.grow(_parts(rows, 100, 128, draw), draw).score(rows)
    peer = IsolationForest(n_estimators=100, max_samples=128, random_state=0).fit(rows)
    return float(roc_auc_score(truth, scores)), float(roc_auc_score(truth, -peer.score_samples(rows)))


def test_it_finds_anomalies_as_well_as_an_isolation_forest() -> None:
    ours, theirs = np.mean([aucs(digit) for digit in range(5)], axis=0)
    assert ours >= theirs  # 0.989 and 0.978


def test_trees_share_rows_only_where_there_are_too_few() -> None:
    rows = np.arange(60, dtype=np.float32).reshape(-1, 1)
    parts = _parts(rows, 6, 10, np.random.default_rng(0))
    assert sorted(parts.ravel().tolist()) == rows.ravel().tolist()
    few = _parts(rows[:8], 6, 10, np.random.default_rng(0))
    assert few.shape == (6, 8, 1)
    again = _parts(rows[::-1], 6, 10, np.random.default_rng(0))
    assert (again == parts).all()


def test_what_is_called_an_anomaly_is_judged() -> None:
    chosen, truth = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert judged(chosen, truth) == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert judged(~truth, truth) == {"accuracy": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
