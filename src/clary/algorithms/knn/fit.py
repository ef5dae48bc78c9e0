"""Training: labelled rows in, an index of some of them out.

rows ─▶ a uniform sample of all hosts' ─▶ vectors, reduced if asked ─▶ index, labels, metadata
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _hosts
from clary.algorithms._feed import Feed
from clary.algorithms._log import Log, say
from clary.algorithms._sample import Sample
from clary.algorithms.knn import _index, _model
from clary.algorithms.knn._model import Neighbours, Vectors
from clary.algorithms.knn.definition import FLAT, IVF_PQ
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

SEED = 3


def fit(training: Training) -> None:
    """Sample the train channel; the first host leaves index, labels and metadata in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, has fewer rows than k, or the index needs a package that is not
        there.
    """
    params = training.params
    kind = params.text("index_type")
    if kind != FLAT:
        _index.faiss()  # before the data are read
    with _hosts.joined(training) as hosts:
        log = Log(training, "AWS/KNN")
        rows = _sampled(training, hosts, log)
        vectors = _vectors(params)
        points = vectors.of(rows[:, :-1], vectors.matrix())
        labels = np.ascontiguousarray(rows[:, -1])
        content: Any = points
        if kind != FLAT:
            content = _index.faiss().serialize_index(_index.build(points, params))
        metadata = _metadata(params, vectors)
        if "test" in training.sources:
            index = _index.restore(kind, content, params.text("index_metric"))
            neighbours = Neighbours(vectors, index, labels, params.int("k"), params.text("predictor_type"))
            _test(training, hosts, neighbours, log)
        if hosts.is_first:
            _model.save(training.model_dir, metadata, content, labels)


def _sampled(training: Training, hosts: Hosts, log: Log) -> Any:
    """Return sampled rows of all hosts, the label in the last column."""
    params = training.params
    n_columns = params.int("feature_dim")
    feed = Feed(training.source("train"), feature_dim=n_columns, has_labels=True, is_dense=True, keep_bytes=0)
    sample = Sample(params.int("sample_size"), n_columns + 1, np.random.default_rng((SEED, hosts.rank)))
    started = time.time()
    for table in feed.blocks():
        assert table.labels is not None
        sample.add(np.column_stack((table.features, table.labels)))
    n_rows = feed.require_rows(hosts)
    log.throughput(feed.n_rows, time.time() - started)
    rows = sample.merged(hosts)
    if len(rows) < params.int("k"):
        raise CustomerError(
            f"Channel train has {len(rows)} rows after sampling, fewer than "
            f"hyperparameter k asks for: {params['k']}"
        )
    say(f"Sampled {len(rows)} of {n_rows} rows")
    log.progress(1, 1)
    return rows


def _vectors(params: Params) -> Vectors:
    n_columns = params.int("feature_dim")
    pq_m = params.int("faiss_index_pq_m") if params.text("index_type") == IVF_PQ else 1
    kind = params.get("dimension_reduction_type")
    target = n_columns if kind is None else params.int("dimension_reduction_target")
    width = -(-target // pq_m) * pq_m
    reduction = None
    if kind is not None:
        reduction = {"type": kind, "seed": SEED, "target_dim": width, "input_dim": n_columns}
    return Vectors(n_columns, reduction, params.text("index_metric") == "COSINE", width)


def _metadata(params: Params, vectors: Vectors) -> dict[str, Any]:
    return {
        "k": params.int("k"),
        "predictor_type": params.text("predictor_type"),
        "dimension_reduction": vectors.reduction,
        "normalize": vectors.normalize,
        "version": "1.0",
        "feature_dim": vectors.n_columns,
        "width": vectors.width,
        "index_type": params.text("index_type"),
        "index_metric": params.text("index_metric"),
    }


def _test(training: Training, hosts: Hosts, neighbours: Neighbours, log: Log) -> None:
    source = training.sources["test"]
    feed = Feed(
        source,
        feature_dim=training.params.int("feature_dim"),
        has_labels=True,
        is_dense=True,
        keep_bytes=0,
    )
    is_classifier = training.params.text("predictor_type") == "classifier"
    found = np.zeros(2)
    for table in feed.blocks():
        predicted = neighbours.ask(table.features)[0]
        apart = predicted.astype(np.float64) - table.labels
        found += (float((apart == 0).sum() if is_classifier else (apart * apart).sum()), table.n_rows)
    if source.distribution == "ShardedByS3Key":
        found = hosts.sum(found)
    if not found[1]:
        raise CustomerError("No data in channel test: it has no rows")
    name, what = ("accuracy", "score") if is_classifier else ("mse", "loss")
    value = float(found[0] / found[1])
    log.quality(f"test {name}", value, kind=what)
    log.score(name, value)
