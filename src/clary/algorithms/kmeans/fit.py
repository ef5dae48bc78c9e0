"""Training: rows in, centres out.

    pass 1 ─▶ a uniform sample of all hosts' rows ─▶ Lloyd's method on it, several starts ─▶ k centres
    pass 2, 3, … ─▶ sums of every centre's rows, over all hosts ─▶ their means, until nothing changes

With `extra_center_factor` or `half_life_time_size` the passes are the service's own: K = k x factor centres
follow mini-batches, and Lloyd's method makes k of them at the end.

Source
------
Lloyd (1982), doi:10.1109/TIT.1982.1056489; Arthur and Vassilvitskii (2007); Sculley (2010),
doi:10.1145/1772690.1772862.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _hosts
from clary.algorithms._feed import Feed
from clary.algorithms._log import Log, say
from clary.algorithms._sample import Sample
from clary.algorithms.kmeans import _lloyd
from clary.algorithms.kmeans._lloyd import Sums
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.algorithms.kmeans._device import Stream as DeviceStream
    from clary.algorithms.kmeans._lloyd import Stream

SEED = 17
SAMPLE_ROWS = 20_000
"""Rows of the sample, at least."""
ROWS_A_CENTRE = 100
"""Rows of the sample for each centre, at least."""
SAMPLE_BYTES = 512 << 20
N_TRIALS = 2


def fit(training: Training) -> None:
    """Cluster the train channel; the first host leaves the centres in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or has fewer rows than k.
    """
    with _hosts.joined(training) as hosts:
        params = training.params
        feed = Feed(
            training.source("train"), feature_dim=params.int("feature_dim"), has_labels=False, is_dense=True
        )
        log = Log(training, "AWS/KMeansWebscale")
        is_streamed = params["extra_center_factor"] not in {"auto", 1} or params.int("half_life_time_size")
        learn = _streamed if is_streamed else _sampled
        centres, msd = learn(training, hosts, feed, log)
        centres = centres[np.lexsort(centres.T[::-1])]  # one order, whatever the start
        log.quality("train msd", msd)
        if "test" in training.sources:
            _test(training, hosts, centres, log)
        if hosts.is_first:
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, {"centers": centres})


def _sampled(training: Training, hosts: Hosts, feed: Feed, log: Log) -> tuple[NDArray[np.float32], float]:
    """Return centres and the mean squared distance, from a sample and then from all rows."""
    params = training.params
    k, epochs, n_columns = params.int("k"), params.int("epochs"), params.int("feature_dim")
    n_most = min(max(SAMPLE_ROWS, ROWS_A_CENTRE * k), max(k, SAMPLE_BYTES // (4 * n_columns)))
    sample = Sample(n_most, n_columns, np.random.default_rng((SEED, hosts.rank)))
    started = time.time()
    for table in feed.blocks():
        sample.add(table.features)
    _check_rows(feed, hosts, k)
    rows = _lloyd.placed(sample.merged(hosts))
    log.throughput(feed.n_rows, time.time() - started)
    say("No shrinking is required as extra_center_factor is 1.")
    draw = np.random.default_rng(SEED)
    first = (_lloyd.seed(rows, k, draw, method=params.text("init_method")) for _ in range(1))
    centres, msd = _finished(training, rows, None, draw, first)
    log.quality("train msd", msd, epoch=0)
    log.progress(1, epochs)
    for epoch in range(1, epochs):
        sums = _passed(feed, hosts, centres)
        before, msd = msd, float(sums.loss.sum() / sums.weight.sum())
        centres = sums.means()
        log.quality("train msd", msd, epoch=epoch)
        log.progress(epoch + 1, epochs)
        if epoch > 1 and before - msd <= 1e-6 * before:
            say(f"No row changes its cluster any more: ending after {epoch + 1} epochs")
            break
    return centres, msd


def _streamed(training: Training, hosts: Hosts, feed: Feed, log: Log) -> tuple[NDArray[np.float32], float]:
    """Return centres and the mean squared distance, as the service's mini-batches find them."""
    params = training.params
    k, epochs = params.int("k"), params.int("epochs")
    given = params["extra_center_factor"]
    n_centres = k * (1 if given == "auto" else int(given))
    batch, half_life = params.int("mini_batch_size"), params.int("half_life_time_size")
    stream: Stream | DeviceStream | None = None
    draw = np.random.default_rng(SEED)
    msd = 0.0
    for epoch in range(epochs):
        started = time.time()
        loss: Any = 0.0  # stays on the device until all batches are added up
        batches = _batches(feed, batch)
        if stream is None:
            first = _first(batches, n_centres, params.int("feature_dim"))
            rows = np.concatenate(hosts.arrays(first))
            if len(rows):
                seeds = _lloyd.seed(rows, n_centres, draw, method=params.text("init_method"))
                stream = _lloyd.stream_of(seeds, half_life)
                loss += stream.add(first) if len(first) else 0.0
        for rows in batches:
            assert stream is not None
            loss += stream.add(rows)
        n_rows = _check_rows(feed, hosts, k)
        assert stream is not None
        _merge(stream, hosts)
        msd = float(hosts.sum(np.array([float(loss)]))[0]) / n_rows
        log.throughput(feed.n_rows, time.time() - started)
        log.quality("train msd", msd, epoch=epoch)
        log.progress(epoch + 1, epochs)
    assert stream is not None
    centres, weight = stream.state()
    seen = weight > 0
    if seen.sum() <= k:
        return centres[np.argsort(-weight)[:k]], msd
    say(f"Shrinking {len(centres)} centers to {k}")
    points, weights = _lloyd.placed(centres[seen]), weight[seen].astype(np.float32)
    return _finished(training, points, weights, draw, iter(()))[0], msd


def _finished(
    training: Training,
    rows: Any,
    weights: NDArray[np.float32] | None,
    draw: np.random.Generator,
    first: Iterator[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], float]:
    """Run Lloyd's method from several starts; return the best centres and their mean squared distance."""
    params = training.params
    trials = params["local_lloyd_num_trials"]
    n_trials = N_TRIALS if trials == "auto" else int(trials)

    def starts() -> Iterator[NDArray[np.float32]]:
        yield from first
        while True:
            yield _lloyd.seed(
                rows, params.int("k"), draw, weights, method=params.text("local_lloyd_init_method")
            )

    total = float(len(rows) if weights is None else weights.sum())
    best = _lloyd.best_of(
        rows,
        weights,
        starts(),
        n_most=params.int("local_lloyd_max_iter"),
        tolerance=params.float("local_lloyd_tol"),
    )
    for attempt in range(n_trials):
        loss, centres = next(best)
        say(f"local kmeans attempt #{attempt}. Current mean square distance {loss / total:.6f}")
    return centres, loss / total


def _passed(feed: Feed, hosts: Hosts, centres: NDArray[np.float32]) -> Sums:
    """Return the sums of all hosts' rows."""
    own = _lloyd.sums_of(centres)
    for table in feed.blocks():
        own.add(table.features)
    packed = hosts.sum(np.column_stack(own.taken()))
    sums = Sums(centres)
    sums.total, sums.weight, sums.loss = packed[:, :-2], packed[:, -2], packed[:, -1]
    return sums


def _batches(feed: Feed, size: int) -> Iterator[NDArray[np.float32]]:
    for table in feed.blocks():
        for start in range(0, table.n_rows, size):
            yield table.features[start : start + size]


def _first(batches: Iterator[NDArray[np.float32]], n_least: int, n_columns: int) -> NDArray[np.float32]:
    """Return the first mini-batches, as many as it takes to choose the centres from."""
    rows = np.zeros((0, n_columns), np.float32)
    for batch in batches:
        rows = np.concatenate((rows, batch))
        if len(rows) >= n_least:
            break
    return rows


def _merge(stream: Stream | DeviceStream, hosts: Hosts) -> None:
    """Give every host the mean of all hosts' centres, weighted by the rows they have seen."""
    if hosts.n_hosts == 1:
        return
    centres, weight = stream.state()
    packed = hosts.sum(np.column_stack((centres * weight[:, None], weight)))
    weight = packed[:, -1]
    seen = weight > 0
    centres[seen] = packed[seen, :-1] / weight[seen, None]
    stream.restore(centres, weight / hosts.n_hosts)  # the next pass of every host adds to its own share


def _check_rows(feed: Feed, hosts: Hosts, k: int) -> int:
    n_rows = feed.require_rows(hosts)
    if n_rows < k:
        raise CustomerError(
            f"Channel {feed.name} has {n_rows} rows, fewer than hyperparameter k asks for: {k}"
        )
    return n_rows


def _test(training: Training, hosts: Hosts, centres: NDArray[np.float32], log: Log) -> None:
    source = training.sources["test"]
    feed = Feed(source, feature_dim=centres.shape[1], has_labels=False, is_dense=True, keep_bytes=0)
    sums = _lloyd.sums_of(centres)
    for table in feed.blocks():
        sums.add(table.features)
    together = np.array([float(sums.loss.sum()), float(sums.weight.sum())])
    if source.distribution == "ShardedByS3Key":
        together = hosts.sum(together)
    if not together[1]:
        raise CustomerError("No data in channel test: it has no rows")
    for name in training.params["eval_metrics"]:
        value = float(together[0] / together[1]) if name == "msd" else float(together[0])
        log.quality(f"test {name}", value)
        log.score(name, value)
