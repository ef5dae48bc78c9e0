"""Training: rows in, components out.

    regular      one pass ─▶ number, sum and scatter of all hosts' rows ─▶ eigenvectors: exact
    randomized   four passes ─▶ the scatter times some directions, made orthogonal each time ─▶ the best part

Source
------
Halko, Martinsson and Tropp (2011), doi:10.1137/090771806, algorithm 4.4, for the randomized mode; its passes
read memory where the rows fit.
"""

from __future__ import annotations

import time
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _gpu, _hosts
from clary.algorithms._feed import KEEP_BYTES, Feed
from clary.algorithms._log import Log, say
from clary.algorithms.pca import _device
from clary.algorithms.pca._moments import Moments, leading, signed
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

SEED = 19
N_PASSES = 4
FEWEST_EXTRA = 10
ABOUT_ROWS = 1000
"""Rows from whose mean sums are taken."""
CELL_BYTES, SHARE = 12, 0.9
"""Of a scatter on a device, with a block's product before it is added; their share of the free memory."""


def fit(training: Training) -> None:
    """Find the components of the train channel; the first host leaves them in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed.
    """
    with _hosts.joined(training) as hosts:
        params = training.params
        is_regular = params.text("algorithm_mode") == "regular"
        feed = Feed(
            training.source("train"),
            feature_dim=params.int("feature_dim"),
            has_labels=False,
            is_dense=True,
            keep_bytes=0 if is_regular else KEEP_BYTES,
        )
        log, gpu = Log(training, "PCA"), device(params)
        mean, values, vectors = (_regular if is_regular else _randomized)(training, hosts, feed, log, gpu)
        model = {
            "mean": mean.astype(np.float32),
            "s": np.sqrt(values).astype(np.float32),
            "v": signed(vectors).astype(np.float32),
        }
        log.progress(1, 1)
        if "test" in training.sources:
            _test(training, hosts, model, log, gpu)
        if hosts.is_first:
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, model)


def device(params: Params) -> Gpu | None:
    """Return the device that there is, None where the scatter of mode regular has no room on it."""
    gpu, n_columns = _gpu.find(), params.int("feature_dim")
    if gpu is None or params.text("algorithm_mode") != "regular":
        return gpu
    needed, free = CELL_BYTES * n_columns**2, gpu.free()
    if needed <= SHARE * free:
        return gpu
    say(
        f"Computing on the processor: mode regular with feature_dim {n_columns} takes "
        f"{needed / 2**30:.1f} GiB of the device's memory, of which {free / 2**30:.1f} GiB are free; "
        "algorithm_mode randomized takes less",
        "WARNING",
    )
    return None


def _regular(
    training: Training, hosts: Hosts, feed: Feed, log: Log, gpu: Gpu | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean, eigenvalues and eigenvectors, exactly."""
    centred = training.params.is_true("subtract_mean")
    moments = _passed(hosts, feed, _blocks(feed, 1, gpu), None, None, log, gpu)
    values, vectors = leading(moments.product(centred=centred), training.params.int("num_components"))
    return _shown_mean(moments, centred=centred), values, vectors


def _randomized(
    training: Training, hosts: Hosts, feed: Feed, log: Log, gpu: Gpu | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean, eigenvalues and eigenvectors, by iterating on a subspace."""
    params = training.params
    n_columns, n_components = params.int("feature_dim"), params.int("num_components")
    extra = params.int("extra_components")
    extra = max(FEWEST_EXTRA, n_components) if extra < 0 else extra
    size = min(n_columns, n_components + extra)
    centred = params.is_true("subtract_mean")
    basis = np.linalg.qr(np.random.default_rng(SEED).normal(size=(n_columns, size)))[0]
    blocks, about = _blocks(feed, N_PASSES, gpu), None
    for number in range(N_PASSES):
        directions = basis.astype(np.float32)
        moments = _passed(hosts, feed, blocks, directions, about, log, gpu)
        about = moments.mean.astype(np.float32) if centred else moments.about
        product = moments.product(centred=centred)
        if number < N_PASSES - 1:
            basis = np.linalg.qr(product)[0]
    values, small = leading(directions.T.astype(np.float64) @ product, n_components)
    return _shown_mean(moments, centred=centred), values, directions.astype(np.float64) @ small


def _blocks(feed: Feed, n_passes: int, gpu: Gpu | None) -> Callable[[], Iterator[Any]]:
    """Return what yields the rows of each pass: arrays, or tensors of the device."""
    if gpu is not None:
        return _device.Rows(gpu, feed, n_passes).blocks
    return lambda: (table.features for table in feed.blocks())


def _passed(
    hosts: Hosts,
    feed: Feed,
    blocks: Callable[[], Iterator[Any]],
    directions: NDArray[np.float32] | None,
    about: NDArray[np.float32] | None,
    log: Log,
    gpu: Gpu | None,
) -> Moments:
    """Return the moments of all hosts' rows; `about` is found from the first rows if not given."""
    started, rows = time.time(), blocks()
    if about is None:
        first = list(islice(rows, 1))
        near = np.zeros((0, feed.feature_dim), np.float32)
        if first:
            near = first[0][:ABOUT_ROWS] if gpu is None else gpu.take(first[0][:ABOUT_ROWS])
        found = hosts.sum(np.concatenate((near.sum(axis=0, dtype=np.float64), [len(near)])))
        about = (found[:-1] / max(found[-1], 1)).astype(np.float32)
        rows = chain(first, rows)
    moments = Moments(about, directions, gpu)
    for block in rows:
        moments.add(block)
    feed.require_rows(hosts)
    log.throughput(feed.n_rows, time.time() - started)
    moments.merge(hosts)
    return moments


def _shown_mean(moments: Moments, *, centred: bool) -> NDArray[np.float64]:
    return moments.mean if centred else np.zeros(len(moments.about))


def _test(
    training: Training, hosts: Hosts, model: dict[str, NDArray[np.float32]], log: Log, gpu: Gpu | None
) -> None:
    """Print how far test rows are from what their projections say of them."""
    put: Any = np.asarray if gpu is None else gpu.put
    mean, vectors = put(model["mean"]), put(model["v"])
    source = training.sources["test"]
    feed = Feed(source, feature_dim=len(model["mean"]), has_labels=False, is_dense=True, keep_bytes=0)
    found = np.zeros(2)
    for table in feed.blocks():
        centred = put(table.features) - mean
        rest = centred - (centred @ vectors) @ vectors.T
        squares = np.einsum("ij,ij->", rest, rest, dtype=np.float64) if gpu is None else _device.squares(rest)
        found += (float(squares), table.n_rows)
    if source.distribution == "ShardedByS3Key":
        found = hosts.sum(found)
    if not found[1]:
        raise CustomerError("No data in channel test: it has no rows")
    log.quality("test reconstruction_msd", float(found[0] / found[1]))
    log.score("reconstruction_msd", float(found[0] / found[1]))
