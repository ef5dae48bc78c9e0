"""A machine on a GPU: weights, factors and running means are there; hosts, files and metrics get arrays.

dense tables stay there whole, sparse mini-batches travel ─▶ scores, slopes ─▶ step        scores ─▶ take
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._gpu_rows import sparse_rows
from clary.algorithms.factorization_machines._model import Machine
from clary.algorithms.factorization_machines._sums import Sums
from clary.toolkit.kernels.factors import MEMORY

if TYPE_CHECKING:
    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts
    from clary.toolkit.hyperparameters import Params

DENSE = 0.25
"""Share of a table's values that are not zero, from which on it is dense on the device."""
MOST_WAITING = 1 << 22
"""Scores that wait on the device until metrics are asked for."""


class DeviceMachine(Machine):
    """A machine whose weights are on a device."""

    def __init__(self, gpu: Gpu, params: Params) -> None:
        super().__init__(params)
        self._gpu, self._torch = gpu, gpu.torch
        widths = 1, self.weights.shape[1] - 1
        self._bias_decay = float(self._decays[0])
        self._there = gpu.put(self.weights)
        self._bias_there = gpu.put(np.array([self.bias]))
        self._means_there = gpu.put(np.zeros(3))
        """Of the bias's slopes, of weights' and of factors'."""
        self._widths = gpu.put(np.array(widths, np.float64))
        self._group_rates = gpu.put(self._rates)
        self._column_decays = gpu.put(np.repeat(self._decays[1:], widths).astype(np.float32))
        self._columns = gpu.put(np.repeat((1, 2), widths))
        """Which of the means is of each column of the weights."""
        self._table: tuple[Any, Any] | None = None

    def bring(self) -> None:
        """Have what was learned in `weights` and `bias`."""
        self.weights = self._gpu.take(self._there).copy()
        self.bias = float(self._gpu.take(self._bias_there)[0])

    def sums(self) -> Sums:
        """Return what counts the scores of steps."""
        return DeviceSums(self._gpu, is_binary=self.is_binary)

    def _said(self, table: Any, labels: Any, chosen: Any) -> tuple[tuple[Any, Any, Any], Any]:
        truth = self._gpu.put(labels[chosen])
        if self._is_dense(table):
            rows = self._resting(table)[self._gpu.put(chosen)]
            return self.slopes(rows, rows * rows, truth, None)
        thin, touched = _thin(table[chosen])
        rows = sparse_rows(self._gpu, thin)
        return self.slopes(rows, rows.squared(), truth, self._gpu.put(touched.astype(np.int64)))

    def _is_dense(self, table: Any) -> bool:
        n_bytes = 4 * table.shape[0] * table.shape[1]
        if self._table is not None and self._table[0] is table:
            return True
        return bool(4 * table.nnz >= DENSE * n_bytes and n_bytes <= self._gpu.room())

    def _resting(self, table: Any) -> Any:
        """Return a dense table, which stays on the device until there is another."""
        if self._table is None or self._table[0] is not table:
            self._table = None  # there may be no room for two
            self._table = table, self._gpu.put(table.toarray())
        return self._table[1]

    def slopes(self, rows: Any, squares: Any, labels: Any, touched: Any) -> tuple[tuple[Any, Any, Any], Any]:
        """Return which columns occur, their slopes' sums and that of the bias; and the scores.

        Parameters
        ----------
        rows, squares : tensor or SparseRows, shape (n_rows, n_touched)
        labels : tensor, shape (n_rows,)
        touched : tensor of int64, shape (n_touched,), or None
            Columns; None of dense rows, of whose columns those that occur are returned as 1, others as 0.
        """
        own = self._there if touched is None else self._there[touched]
        factors = own[:, 1:]
        sums = rows @ own
        apart = 0.5 * (sums[:, 1:].square() - squares @ factors.square()).sum(1)
        scores = self._bias_there.float() + sums[:, 0] + apart
        if self.is_binary:
            scores = scores.sigmoid()
        apart = (scores - labels)[:, None]
        sums[:, 0] = 1
        slope = rows.T @ (apart * sums)
        slope[:, 1:] -= (squares.T @ apart) * factors
        where = (rows != 0).any(0).float() if touched is None else touched
        return (where, slope, apart.sum(dtype=self._torch.float64)), scores

    def _as_arrays(self, touched: Any, slope: Any, bias_slope: Any) -> tuple[Any, Any, float]:
        if isinstance(touched, np.ndarray):  # of a host without rows
            return touched, slope, bias_slope
        where, slope = self._gpu.take(touched), self._gpu.take(slope)
        if touched.is_floating_point():
            where = np.flatnonzero(where)
            slope = slope[where]
        return where.astype(np.int32), slope, float(self._gpu.take(bias_slope))

    def _move(self, touched: Any, slope: Any, bias_slope: Any, scale: float, share: float) -> None:
        if isinstance(touched, np.ndarray):  # of several hosts
            touched, slope = self._gpu.put(touched.astype(np.int64)), self._gpu.put(slope)
            bias_slope = self._gpu.put(np.array(bias_slope))
        self.move(touched, slope, bias_slope, scale, share)

    def move(self, touched: Any, slope: Any, bias_slope: Any, scale: float, share: float) -> None:
        """Take a step; the arithmetic of `kernels.factors.step`, without a look at its numbers."""
        is_mask, torch, weights = touched.is_floating_point(), self._torch, self._there
        own = weights if is_mask else weights[touched]
        slope = (slope * scale).clamp(-self._most, self._most) + self._column_decays * own
        if is_mask:
            slope *= touched[:, None]
        bias = (bias_slope * scale).clamp(-self._most, self._most) + self._bias_decay * self._bias_there
        squares = slope.square().sum(0, dtype=torch.float64)
        squares = torch.stack((squares[0], squares[1:].sum())) / self._widths
        n_columns = touched.sum() if is_mask else slope.new_full((), len(touched))
        found = torch.cat((bias.square(), squares / n_columns.clamp(min=1)))
        means = MEMORY * self._means_there + (1 - MEMORY) * found
        means[1:] = torch.where(n_columns > 0, means[1:], self._means_there[1:])
        self._means_there = means
        steps = self._group_rates * share
        steps /= (means / (1 - MEMORY**self._n_steps)).sqrt() + self._epsilon
        slope *= steps[self._columns].float()
        if is_mask:
            weights -= slope
        else:
            weights[touched] = own - slope
        self._bias_there = self._bias_there - steps[:1] * bias


class DeviceSums(Sums):
    """Scores that stay on the device until somebody asks for metrics."""

    def __init__(self, gpu: Gpu, *, is_binary: bool) -> None:
        super().__init__(is_binary=is_binary)
        self._gpu = gpu
        self._waiting: list[tuple[Any, Any]] = []
        self._n_waiting = 0

    @property
    def n_rows(self) -> int:
        """Rows counted."""
        return super().n_rows + self._n_waiting

    def add(self, scores: Any, labels: Any) -> None:
        """Count some rows, later."""
        self._waiting.append((scores, labels))
        self._n_waiting += len(labels)
        if self._n_waiting > MOST_WAITING:
            self._count()

    def of_all(self, hosts: Hosts) -> dict[str, tuple[str, float]]:
        """Return the metrics over all hosts' rows."""
        self._count()
        return super().of_all(hosts)

    def metrics(self) -> dict[str, tuple[str, float]]:
        """Return name, kind and value of every metric."""
        self._count()
        return super().metrics()

    def _count(self) -> None:
        if self._waiting:
            scores, labels = zip(*self._waiting, strict=True)
            self._waiting, self._n_waiting = [], 0
            super().add(self._gpu.take(self._gpu.torch.cat(scores)), np.concatenate(labels))


def _thin(rows: Any) -> tuple[Any, Any]:
    """Return sparse rows over the columns that occur, and which those are."""
    n_columns = rows.shape[1]
    if rows.nnz > n_columns:
        touched = np.flatnonzero(np.bincount(rows.indices, minlength=n_columns))
    else:
        touched = np.unique(rows.indices)
    places = np.searchsorted(touched, rows.indices)
    return type(rows)((rows.data, places, rows.indptr), shape=(rows.shape[0], len(touched))), touched
