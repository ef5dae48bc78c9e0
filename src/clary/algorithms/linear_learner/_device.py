"""Linear models on a GPU: weights, steps, their mean and losses are there; what leaves it is NumPy.

mini-batch ─▶ put ─▶ scores ─▶ loss, its slope by torch ─▶ step       keep, checkpoint, other hosts ◀─ take
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._gpu_rows import sparse_rows
from clary.algorithms.linear_learner._models import Batch, Models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts
    from clary.algorithms.linear_learner._grid import Grid
    from clary.algorithms.linear_learner._losses import Loss
    from clary.toolkit.formats.base import Table
    from clary.toolkit.hyperparameters import Params

BLOCK_CELLS = 1 << 26
"""Features, or scores, that are compared at once: 256 MB."""


class DeviceModels(Models):
    """Models whose weights are on a device."""

    def __init__(self, gpu: Gpu, params: Params, grid: Grid, loss: Loss, counts: Any) -> None:
        super().__init__(params, grid, loss, counts)
        self._gpu = gpu
        self._loss: Any = DeviceLoss(gpu.torch, loss)
        for part in (self._weights, self._bias):
            part.move(gpu)
        self._sum = [gpu.put(each) for each in self._sum]
        if self._row_weights is not None:
            self._row_weights = gpu.put(self._row_weights)

    @property
    def weights(self) -> tuple[Any, Any]:
        """Weights and bias, as arrays."""
        weights, bias = self._present()
        return self._gpu.take(weights), self._gpu.take(bias)

    def losses(self, sample: Table) -> Any:
        """Return every model's mean loss; infinite where it is no number."""
        labels = self._gpu.put(np.asarray(sample.labels))
        double = self._gpu.torch.float64
        sums = [
            self._loss.value(scores, labels[part]).sum(axis=0, dtype=double)
            for part, scores in self._scored(sample.features)
        ]
        means = self._gpu.take(sum(sums)) / sample.n_rows
        return np.where(np.isfinite(means), means, np.inf)

    def scores(self, features: Any) -> Any:
        """Return every model's scores of normalized rows, as an array."""
        return np.concatenate([self._gpu.take(scores) for _, scores in self._scored(features)])

    def _scored(self, features: Any) -> Iterator[tuple[slice, Any]]:
        """Yield parts of rows and their scores, on the device."""
        weights, bias = self._present()
        n_rows = max(1, BLOCK_CELLS // max(weights.shape))
        for start in range(0, features.shape[0], n_rows):
            part = slice(start, start + n_rows)
            yield part, self.shaped(self._put(features[part]) @ weights + bias)

    def _put(self, features: Any) -> Any:
        return (
            self._gpu.put(features) if isinstance(features, np.ndarray) else sparse_rows(self._gpu, features)
        )

    def _batch(self, table: Table, *, is_alone: bool) -> Batch:
        labels: Any = table.labels
        if isinstance(labels, self._gpu.torch.Tensor):
            return Batch(table.features, labels, None if self._row_weights is None else labels.long())
        batch = super()._batch(table, is_alone=is_alone)
        classes, columns = (
            None if each is None else self._gpu.put(each.astype(np.int64))
            for each in (batch.classes, batch.columns)
        )
        return Batch(self._put(batch.features), self._gpu.put(batch.labels), classes, columns)

    def _of_all(self, hosts: Hosts, slope: Any, bias_slope: Any, n_rows: int) -> tuple[Any, Any, int]:
        arrays = self._gpu.take(slope), self._gpu.take(bias_slope)
        slope, bias_slope, n_rows = super()._of_all(hosts, *arrays, n_rows)
        return self._gpu.put(slope), self._gpu.put(bias_slope), n_rows


class DeviceLoss:
    """A loss of tensors, shapes as those of `Loss`; its slope is what torch derives."""

    def __init__(self, torch: Any, loss: Loss) -> None:
        self._torch, self._name = torch, loss.name
        self._margin, self._quantile = float(loss.margin), float(loss.quantile)
        self._epsilon, self._delta = float(loss.epsilon), float(loss.delta)

    def slope(self, scores: Any, labels: Any) -> Any:
        """Return the derivative of every row's loss by its scores."""
        scores = scores.detach().requires_grad_()
        [found] = self._torch.autograd.grad(self.value(scores, labels).sum(), scores)
        return found

    def value(self, scores: Any, labels: Any) -> Any:  # noqa: PLR0911 - one for each loss
        """Return every row's loss, shape (n_rows, n_models)."""
        functions = self._torch.nn.functional
        if self._name == "logistic":
            return functions.softplus(scores * (1 - 2 * labels)[:, None])
        if self._name == "softmax_loss":
            own = labels.long()[:, None, None].expand(-1, scores.shape[1], 1)
            return -functions.log_softmax(scores, 2).gather(2, own)[:, :, 0]
        if self._name == "hinge_loss":
            return functions.relu(self._margin - scores * (2 * labels - 1)[:, None])
        apart = scores - labels[:, None]
        size = apart.abs()
        match self._name:
            case "squared_loss":
                return apart * apart
            case "absolute_loss":
                return size
            case "eps_insensitive_squared_loss":
                return functions.relu(size - self._epsilon) ** 2
            case "eps_insensitive_absolute_loss":
                return functions.relu(size - self._epsilon)
            case "quantile_loss":
                return self._torch.where(apart > 0, (1 - self._quantile) * apart, -self._quantile * apart)
            case _:
                outer = self._delta * (size - self._delta / 2)
                return self._torch.where(size <= self._delta, apart * apart / 2, outer)
