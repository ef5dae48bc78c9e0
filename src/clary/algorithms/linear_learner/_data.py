"""Rows of a channel as training wants them: normalized, and cut into mini-batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._feed import class_flaw
from clary.algorithms.linear_learner._hyperparameters import BINARY, CLASSES, REGRESSOR
from clary.toolkit.formats.base import Table, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms._feed import Feed, Flaw
    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts
    from clary.toolkit.hyperparameters import Params

FLAT = 1e-6
"""A deviation below this share of the mean is none: the column is constant."""


@dataclass
class Scaler:
    """What is taken from features and labels, and by what the rest is divided."""

    mean: Any
    scale: Any
    label_mean: float = 0.0
    label_scale: float = 1.0
    n_rows: int = 0
    counts: Any = None
    """Rows of each class."""

    def apply(self, features: Any) -> Any:
        """Return normalized features, in new memory; sparse ones are only divided."""
        if isinstance(features, np.ndarray):
            rows = features - self.mean
            rows /= self.scale
            return rows
        scaled = features.copy()
        scaled.data /= self.scale[scaled.indices]
        return scaled

    def labels(self, labels: Any) -> Any:
        """Return normalized labels."""
        return ((labels - self.label_mean) / self.label_scale).astype(np.float32)


def survey(feed: Feed, hosts: Hosts, params: Params) -> Scaler:
    """Read all rows once: count classes, and take mean and deviation of the first rows.

    Raises
    ------
    CustomerError
        There are no rows.
    """
    kind = params.text("predictor_type")
    n_columns = params.int("feature_dim")
    n_wanted = -(-params.int("num_point_for_scaler") // hosts.n_hosts)
    n_classes = {BINARY: 2, CLASSES: params.get("num_classes", 0)}.get(kind, 1)
    sums = np.zeros((2, n_columns + 1))
    counts = np.zeros(n_classes)
    n_taken, is_sparse, about = 0, False, np.zeros(n_columns + 1)
    for number, table in enumerate(feed.blocks()):
        assert table.labels is not None
        counts += _counted(table.labels, kind, n_classes)
        is_sparse = is_sparse or not isinstance(table.features, np.ndarray)
        part = slice(0, max(0, n_wanted - n_taken))
        if not number and not is_sparse:
            first = _columns(table, part).mean(axis=0)
            about = hosts.sum(first) / hosts.n_hosts
        elif not number:
            hosts.sum(about)
        sums += _moments(table, part, about)
        n_taken += min(part.stop, table.n_rows)
    if not feed.n_rows:
        hosts.sum(about)
    feed.require_rows(hosts)
    packed = hosts.sum(np.concatenate((sums.ravel(), counts, [n_taken, feed.n_rows, is_sparse])))
    sums, counts = packed[: sums.size].reshape(sums.shape), packed[sums.size : -3]
    n_taken, n_rows, is_sparse = packed[-3], int(packed[-2]), packed[-1] > 0
    mean = about + sums[0] / n_taken
    spread = np.sqrt(np.maximum(sums[1] / n_taken - (sums[0] / n_taken) ** 2, 0))
    return _scaler(params, mean, spread, n_rows, counts, is_sparse=bool(is_sparse))


def _columns(table: Table, part: slice) -> Any:
    """Return dense features and labels of some rows, as columns of one matrix, in double precision."""
    assert table.labels is not None
    return np.column_stack((table.features[part], table.labels[part])).astype(np.float64)


def _moments(table: Table, part: slice, about: Any) -> Any:
    """Return sums of some rows and of their squares, about a point that is zero for sparse rows."""
    if isinstance(table.features, np.ndarray):
        moved = _columns(table, part) - about
        return np.stack((moved.sum(axis=0), (moved * moved).sum(axis=0)))
    assert table.labels is not None
    rows, labels = table.features[part], table.labels[part].astype(np.float64)
    values = rows.data.astype(np.float64)
    sums = [np.bincount(rows.indices, each, rows.shape[1]) for each in (values, values * values)]
    return np.column_stack((np.stack(sums), (labels.sum(), (labels * labels).sum())))


def _scaler(params: Params, mean: Any, spread: Any, n_rows: int, counts: Any, *, is_sparse: bool) -> Scaler:
    is_regressor = params.text("predictor_type") == REGRESSOR
    has_bias = params.is_true("use_bias")
    spread = np.where(spread > FLAT * np.maximum(np.abs(mean), 1e-30), spread, 1.0)
    normalizes = params["normalize_data"] in {"true", "auto"}
    unbiases = params["unbias_data"] == "true" or (params["unbias_data"] == "auto" and has_bias)
    moves = unbiases and has_bias and not is_sparse
    label_normal = is_regressor and params["normalize_label"] in {"true", "auto"}
    label_moves = is_regressor and has_bias and params["unbias_label"] in {"true", "auto"}
    n_columns = len(mean) - 1
    return Scaler(
        mean=(mean[:-1] if moves else np.zeros(n_columns)).astype(np.float32),
        scale=(spread[:-1] if normalizes else np.ones(n_columns)).astype(np.float32),
        label_mean=float(mean[-1]) if label_moves else 0.0,
        label_scale=float(spread[-1]) if label_normal else 1.0,
        n_rows=n_rows,
        counts=counts,
    )


def label_flaw(params: Params) -> Flaw | None:
    """Return what finds a label that does not suit the predictor type; None where any number does."""
    kind = params.text("predictor_type")
    if kind == REGRESSOR:
        return None
    n_classes = 2 if kind == BINARY else int(params.get("num_classes", 0))
    allowed = "0 or 1" if kind == BINARY else f"integers from 0 to {n_classes - 1}"
    return class_flaw(n_classes, f"labels of predictor_type {kind} must be {allowed}")


def _counted(labels: Any, kind: str, n_classes: int) -> Any:
    if kind == REGRESSOR:
        return np.array([len(labels)])
    return np.bincount(labels.astype(np.int64), minlength=n_classes)


class Rows:
    """A channel, normalized: whole in memory where it fits, else block by block."""

    def __init__(self, feed: Feed, scaler: Scaler) -> None:
        self._feed = feed
        self._scaler = scaler
        self._whole: Table | None = None
        self._moved: Table | None = None
        if feed.is_kept:
            self._whole = self._gathered()
            feed.forget()

    def move(self, gpu: Gpu) -> None:
        """Keep dense rows on a device, where there is room; others travel there in their turn."""
        whole = self._whole
        if whole is None or whole.labels is None or not isinstance(whole.features, np.ndarray):
            return
        if whole.features.nbytes <= gpu.room():
            self._moved = Table(gpu.put(whole.features), gpu.put(whole.labels))

    def _gathered(self) -> Table:
        tables = list(self._feed.blocks())
        if not all(isinstance(table.features, np.ndarray) for table in tables):
            return self._normal(concatenate(tables))
        n_rows = sum(table.n_rows for table in tables)
        features = np.empty((n_rows, self._feed.feature_dim), np.float32)
        labels = np.empty(n_rows, np.float32)
        start = 0
        for table in tables:
            part = slice(start, start + table.n_rows)
            np.subtract(table.features, self._scaler.mean, out=features[part])
            features[part] /= self._scaler.scale
            labels[part] = self._scaler.labels(table.labels)
            start += table.n_rows
        return Table(features, labels)

    def _normal(self, table: Table) -> Table:
        if not table.n_rows:
            return Table(np.zeros((0, self._feed.feature_dim), np.float32), np.zeros(0, np.float32))
        return Table(self._scaler.apply(table.features), self._scaler.labels(table.labels))

    def blocks(self) -> Iterator[Table]:
        """Yield all rows."""
        if self._whole is not None:
            yield self._whole
            return
        for table in self._feed.blocks():
            yield self._normal(table)

    def batches(self, size: int, n_rows: int, order: np.random.Generator) -> Iterator[Table]:
        """Yield mini-batches: each takes every n-th row, so that sorted rows are mixed.

        Parameters
        ----------
        size : int
            Rows of a batch over all hosts.
        n_rows : int
            Rows of all hosts.
        """
        for table in self.blocks() if self._moved is None else (self._moved,):
            share = size if self._whole is not None else max(1, size * table.n_rows // max(n_rows, 1))
            n_batches = -(-n_rows // size) if self._whole is not None else -(-table.n_rows // share)
            for start in order.permutation(n_batches).tolist():
                labels = table.labels
                assert labels is not None
                yield Table(table.features[start::n_batches], labels[start::n_batches])

    def sample(self, n_most: int) -> Table:
        """Return rows spread over the channel, at most `n_most`."""
        if self._whole is not None:
            step = max(1, -(-self._whole.n_rows // n_most))
            labels = self._whole.labels
            assert labels is not None
            return Table(self._whole.features[::step], labels[::step])
        step = max(1, -(-self._feed.n_rows // n_most))
        parts = [Table(t.features[::step], t.labels[::step]) for t in self.blocks() if t.labels is not None]
        return concatenate(parts)
