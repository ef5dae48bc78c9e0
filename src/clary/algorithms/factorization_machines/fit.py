"""Training: sparse rows in, weights and factors of columns out.

rows of each host, in a new order every epoch ─▶ mini-batches of all hosts ─▶ slopes of what occurs ─▶ step
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _gpu, _hosts
from clary.algorithms._feed import Feed, class_flaw
from clary.algorithms._log import Log
from clary.algorithms.factorization_machines._device import DeviceMachine
from clary.algorithms.factorization_machines._model import SEED, Machine
from clary.algorithms.factorization_machines._sums import Sums
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Source, Training
    from clary.toolkit.formats.base import Table

SLOWEST = 0.1
"""Share of the step sizes at the end of the epochs; they fall from 1 in a line."""
BATCHES_A_LINE = 500


def fit(training: Training) -> None:
    """Learn from the train channel; the first host leaves the model in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or a label is neither 0 nor 1 where classes are learned.
    """
    params = training.params
    epochs = params.int("epochs")
    gpu = _gpu.find()
    machine = Machine(params) if gpu is None else DeviceMachine(gpu, params)
    log = Log(training, "factorization-machines")
    with _hosts.joined(training) as hosts:
        rows = _Rows(_feed(training.source("train"), machine))
        for epoch in range(epochs):
            share = 1 - (1 - SLOWEST) * epoch / max(epochs - 1, 1)
            found = _epoch(machine, rows, hosts, log, epoch, share, params.int("mini_batch_size"))
            for name, (kind, value) in found.of_all(hosts).items():
                log.quality(f"train {name}", value, epoch=epoch, kind=kind)
                if epoch == epochs - 1:
                    log.quality(f"train {name}", value, kind=kind)
            log.progress(epoch + 1, epochs)
        machine.bring()
        if not np.isfinite(machine.weights).all():
            raise CustomerError(
                "Training diverged: weights are not finite. Lower factors_lr, linear_lr and bias_lr, "
                "or set clip_gradient."
            )
        if hosts.is_first:
            if "test" in training.sources:
                _test(training, machine, log)
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, machine.arrays)


class _Rows:
    """The train channel as CSR matrices: one, where it fits into memory, else one a block."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._whole: tuple[Any, Any] | None = None
        self.n_rows = 0
        """Of all hosts, after the first pass."""

    def tables(self, hosts: Hosts) -> Iterator[tuple[Any, Any]]:
        """Yield sparse rows and labels."""
        if self._whole is None and not self.n_rows:
            for _ in self._feed.blocks():
                pass
            self.n_rows = self._feed.require_rows(hosts)
            if self._feed.is_kept and self._feed.n_rows:
                self._whole = _sparse(self._feed.table())
                self._feed.forget()
        if self._whole is not None:
            yield self._whole
        else:
            yield from map(_sparse, self._feed.blocks())


def _feed(source: Source, machine: Machine, **more: Any) -> Feed:
    wanted = "labels of predictor_type binary_classifier must be 0 or 1"
    flaw = class_flaw(2, wanted) if machine.is_binary else None
    return Feed(source, feature_dim=len(machine.weights), has_labels=True, flaw=flaw, **more)


def _sparse(table: Table) -> tuple[Any, Any]:
    from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

    rows = sparse.csr_matrix(table.features, dtype=np.float32)
    rows.sum_duplicates()
    rows.indptr, rows.indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
    return rows, np.ascontiguousarray(table.labels, np.float32)


def _epoch(
    machine: Machine, rows: _Rows, hosts: Hosts, log: Log, epoch: int, share: float, size: int
) -> Sums:
    """Learn all rows once; return what the model said of them before it learned each."""
    order = np.random.default_rng((SEED, epoch, hosts.rank))
    found, started, number = machine.sums(), time.time(), 0
    batches = _batches(rows, hosts, order, size)
    while True:
        batch = next(batches, None)
        n_rows, scores = machine.step(batch, hosts, share)
        if not n_rows:
            break
        if batch is not None:
            found.add(scores, batch[1][batch[2]])
        if number % BATCHES_A_LINE == 0 and found.n_rows:
            for name, (kind, value) in found.metrics().items():
                log.quality(f"batch={number} train {name}", value, epoch=epoch, kind=kind)
        number += 1
    log.throughput(found.n_rows, time.time() - started)
    return found


def _batches(
    rows: _Rows, hosts: Hosts, order: np.random.Generator, size: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield tables, labels and which rows of them make a mini-batch, this host's share of `size`."""
    for table, labels in rows.tables(hosts):
        shuffled = order.permutation(len(labels))
        n_batches = -(-rows.n_rows // size) if hosts.n_hosts > 1 else -(-len(labels) // size)
        n_batches = max(1, min(n_batches, len(labels)))
        for part in np.array_split(shuffled, n_batches):
            yield table, labels, part


def _test(training: Training, machine: Machine, log: Log) -> None:
    feed = _feed(training.sources["test"], machine, keep_bytes=0)
    found = Sums(is_binary=machine.is_binary)
    for table in feed.blocks():
        found.add(machine.scores(table.features), table.labels)
    feed.require_rows()
    for name, (kind, value) in found.metrics().items():
        log.quality(f"test {name}", value, kind=kind)
        log.score(name, value)
