"""Training: rows in, trees out.

one pass ─▶ a uniform sample of all hosts' rows ─▶ a part for each tree ─▶ cut until single rows are left
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms import _artifact, _hosts
from clary.algorithms._feed import Feed, class_flaw
from clary.algorithms._log import Log, say
from clary.algorithms._sample import Sample
from clary.algorithms.randomcutforest.forest import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.base import Source, Training

SEED = 1
SIGMAS = 3.0
"""A score so many deviations above the mean is an anomaly's. Source: developer guide, "Tune an RCF Model"."""


def fit(training: Training) -> None:
    """Grow a forest on the train channel; the first host leaves it in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or a label is neither 0 nor 1.
    """
    params = training.params
    n_trees, n_each = params.int("num_trees"), params.int("num_samples_per_tree")
    n_columns = params.int("feature_dim")
    log = Log(training, "RandomCutForest")
    with _hosts.joined(training) as hosts:
        feed = Feed(
            training.source("train"), feature_dim=n_columns, has_labels=False, is_dense=True, keep_bytes=0
        )
        sample = Sample(n_trees * n_each, n_columns, np.random.default_rng((SEED, hosts.rank)))
        started = time.time()
        for table in feed.blocks():
            sample.add(table.features)
        n_rows = feed.require_rows(hosts)
        log.throughput(feed.n_rows, time.time() - started)
        rows = sample.merged(hosts)
    if not hosts.is_first:
        return
    draw = np.random.default_rng(SEED)
    forest = Forest.grow(_parts(rows, n_trees, n_each, draw), draw)
    say(f"{n_trees} trees of {forest.points.shape[1]} rows each, from {n_rows} rows")
    log.progress(1, 1)
    if "test" in training.sources:
        _test(training, training.sources["test"], forest, log)
    _artifact.save(training.model_dir / _artifact.MODEL_FILE, forest.arrays)


def _parts(
    rows: NDArray[np.float32], n_trees: int, n_each: int, draw: np.random.Generator
) -> NDArray[np.float32]:
    """Return each tree's rows: no row in two trees where there are enough, else a draw for each tree.

    Rows come in the order of one number made of each, so that who read them, and when, does not matter.
    """
    rows = rows[np.argsort(rows.astype(np.float64) @ draw.normal(size=rows.shape[1]), kind="stable")]
    if len(rows) >= n_trees * n_each:
        chosen = draw.permutation(len(rows))[: n_trees * n_each].reshape(n_trees, n_each)
    else:
        chosen = np.stack([draw.permutation(len(rows))[:n_each] for _ in range(n_trees)])
    return np.ascontiguousarray(rows[chosen])


def _test(training: Training, source: Source, forest: Forest, log: Log) -> None:
    feed = Feed(
        source,
        feature_dim=forest.points.shape[2],
        has_labels=True,
        is_dense=True,
        keep_bytes=0,
        flaw=class_flaw(2, "labels must be 1 for an anomaly, else 0"),
    )
    scores, labels = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for table in feed.blocks():
        assert table.labels is not None
        scores.append(forest.score(np.ascontiguousarray(table.features)))
        labels.append(table.labels)
    feed.require_rows()
    found, truth = np.concatenate(scores), np.concatenate(labels)
    metrics = judged(found > found.mean() + SIGMAS * found.std(), truth == 1)
    asked = training.params["eval_metrics"]
    wanted = ["accuracy"] if "accuracy" in asked else []
    wanted += ["precision", "recall", "f1"] if "precision_recall_fscore" in asked else []
    for name in wanted:
        log.quality(f"test {name}", metrics[name], kind="score")
        log.score(name, metrics[name])


def judged(chosen: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return accuracy, precision, recall and F1 of rows called anomalies."""
    both = int((chosen & truth).sum())
    precision, recall = both / max(int(chosen.sum()), 1), both / max(int(truth.sum()), 1)
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return {"accuracy": float((chosen == truth).mean()), "precision": precision, "recall": recall, "f1": f1}
