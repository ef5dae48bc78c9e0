"""Many linear models trained at once: one product scores a mini-batch for all of them.

What reads alike for arrays and for tensors is here; `_device.py` has the rest of a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.linear_learner._hyperparameters import CLASSES
from clary.algorithms.linear_learner._optimizers import Optimizer

if TYPE_CHECKING:
    from clary.algorithms._hosts import Hosts
    from clary.algorithms.linear_learner._grid import Grid
    from clary.algorithms.linear_learner._losses import Loss
    from clary.toolkit.formats.base import Table
    from clary.toolkit.hyperparameters import Params

SEED = 23
AVERAGED = 0.5
"""Share of an epoch's steps, the last ones, whose weights are averaged. Source: Polyak and Juditsky (1992),
doi:10.1137/0330046."""


@dataclass
class Batch:
    """A mini-batch where it is computed on."""

    features: Any
    """Of all columns, or of `columns`."""
    labels: Any
    classes: Any = None
    """Labels as integers; None where all rows weigh the same."""
    columns: Any = None
    """Columns of sparse rows that are not empty; None where most are."""


class Models:
    """Weights of shape (n_features, n_models x n_outputs), and a bias for each column."""

    def __init__(self, params: Params, grid: Grid, loss: Loss, counts: Any) -> None:
        self.n_models = grid.n_models
        self.n_outputs = params.int("num_classes") if params.text("predictor_type") == CLASSES else 1
        self._grid, self._loss = grid, loss
        draw = np.random.default_rng(SEED)
        shape = (params.int("feature_dim"), self.n_models * self.n_outputs)
        if params.text("init_method") == "uniform":
            scale = params.float("init_scale")
            start = draw.uniform(-scale, scale, shape)
        else:
            start = draw.normal(0, params.float("init_sigma"), shape)
        each = [np.repeat(values, self.n_outputs) for values in (grid.rates, grid.wd, grid.l1)]
        self._weights = Optimizer(grid.optimizer, params, start.astype(np.float32), *each)
        rate, wd = (params[name] for name in ("bias_lr_mult", "bias_wd_mult"))
        bias = np.full((1, shape[1]), params.float("init_bias"), np.float32)
        self._bias = Optimizer(
            grid.optimizer,
            params,
            bias,
            each[0] * np.float32(1 if rate == "auto" else rate),
            each[1] * np.float32(0 if wd == "auto" else wd),
            np.zeros_like(each[2]),
        )
        self._has_bias = params.is_true("use_bias")
        self._row_weights = _row_weights(params, grid, counts)
        self._sum = [np.zeros_like(self._weights.weights), np.zeros_like(bias)]
        self._n_summed = 0
        self._kept: tuple[Any, Any] | None = None

    @property
    def weights(self) -> tuple[Any, Any]:
        """Weights and bias: the mean of those of the steps since `forget`, or the last."""
        return self._present()

    def _present(self) -> tuple[Any, Any]:
        if not self._n_summed:
            return self._weights.weights, self._bias.weights[0]
        return self._sum[0] / self._n_summed, self._sum[1][0] / self._n_summed

    @property
    def n_steps(self) -> int:
        """Mini-batches seen."""
        return self._weights.n_steps

    @property
    def largest_rate(self) -> float:
        """Largest step size of a model."""
        return float(self._grid.rates.max())

    def losses(self, sample: Table) -> Any:
        """Return every model's mean loss; infinite where it is no number."""
        means = self._loss.value(self.scores(sample.features), sample.labels).mean(axis=0, dtype=np.float64)
        return np.where(np.isfinite(means), means, np.inf)

    def keep(self) -> None:
        """Remember the present weights as the best."""
        weights, bias = self.weights
        self._kept = (weights.copy(), bias.copy())

    def recall(self) -> None:
        """Go back to the best weights."""
        if self._kept is not None:
            self.forget()
            self._weights.go_to(self._kept[0])
            self._bias.go_to(self._kept[1][None])

    def forget(self) -> None:
        """Begin a new mean."""
        self._n_summed = 0
        for each in self._sum:
            each[:] = 0

    def remember(self) -> None:
        """Add the present weights to the mean."""
        self._sum[0] += self._weights.weights
        self._sum[1] += self._bias.weights
        self._n_summed += 1

    def step(self, table: Table | None, hosts: Hosts, share: float) -> bool:
        """Move all models by one mini-batch of all hosts; False where no host has rows left."""
        is_alone = hosts.n_hosts == 1
        batch = None if table is None or not table.n_rows else self._batch(table, is_alone=is_alone)
        slope, bias_slope = self._slopes(batch)
        n_rows = len(batch.labels) if batch is not None else 0
        if not is_alone:
            slope, bias_slope, n_rows = self._of_all(hosts, slope, bias_slope, n_rows)
        if not n_rows:
            return False
        slope *= 1 / n_rows
        self._weights.step(slope, share, batch.columns if batch is not None else None)
        if self._has_bias:
            self._bias.step(bias_slope[None] * (1 / n_rows), share)
        return True

    def _batch(self, table: Table, *, is_alone: bool) -> Batch:
        features, columns = table.features, None
        if is_alone and not isinstance(features, np.ndarray):
            features, columns = _touched(features)
        labels: Any = table.labels
        classes = None if self._row_weights is None else labels.astype(np.int64)
        return Batch(features, labels, classes, columns)

    def _slopes(self, batch: Batch | None) -> tuple[Any, Any]:
        weights = self._weights.weights
        if batch is None:
            zeros_like = self._weights.library.zeros_like
            return zeros_like(weights), zeros_like(self._bias.weights[0])
        if batch.columns is not None:
            weights = weights[batch.columns]
        scores = batch.features @ weights
        scores += self._bias.weights
        slope = self._loss.slope(self.shaped(scores), batch.labels)
        if self._row_weights is not None:
            weighted = self._row_weights[batch.classes]
            slope *= weighted.reshape(weighted.shape + (1,) * (slope.ndim - 2))
        slope = slope.reshape(scores.shape)
        return batch.features.T @ slope, slope.sum(axis=0)

    def _of_all(self, hosts: Hosts, slope: Any, bias_slope: Any, n_rows: int) -> tuple[Any, Any, int]:
        """Return the sums of what all hosts have."""
        packed = hosts.sum(np.concatenate((slope.ravel(), bias_slope, [np.float32(n_rows)])))
        return packed[: slope.size].reshape(slope.shape), packed[slope.size : -1], int(packed[-1])

    def shaped(self, scores: Any) -> Any:
        """Return scores as the loss wants them."""
        return scores.reshape(len(scores), self.n_models, self.n_outputs) if self.n_outputs > 1 else scores

    def scores(self, features: Any) -> Any:
        """Return every model's scores of normalized rows."""
        weights, bias = self.weights
        return self.shaped(np.asarray(features @ weights) + bias)

    def one(self, number: int) -> tuple[Any, Any]:
        """Return weights, shape (n_features, n_outputs), and bias, (n_outputs,), of one model."""
        weights, bias = self.weights
        part = slice(number * self.n_outputs, (number + 1) * self.n_outputs)
        return weights[:, part].copy(), bias[part].copy()

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        parts = {"weights": self._weights, "bias": self._bias}
        found = {f"{name}_{key}": value for name, part in parts.items() for key, value in part.state.items()}
        if self._kept is not None:
            found["kept_weights"], found["kept_bias"] = self._kept
        return found

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; ValueError or KeyError, and no change, where it is of other models."""
        for name, value in self.state.items():
            if state[name].shape != np.shape(value):
                raise ValueError(f"{name} has shape {state[name].shape}, not {np.shape(value)}")
        for name, part in (("weights", self._weights), ("bias", self._bias)):
            part.restore({key: state[f"{name}_{key}"] for key in ("weights", "mean", "square", "n_steps")})
        if "kept_weights" in state:
            self._kept = state["kept_weights"], state["kept_bias"]


def _touched(features: Any) -> tuple[Any, Any]:
    """Return sparse rows over the columns that are not empty, and which those are; None where most are."""
    n_rows, n_columns = features.shape
    if features.nnz > n_columns // 4:
        return features, None
    columns, places = np.unique(features.indices, return_inverse=True)
    shape = (n_rows, len(columns))
    return type(features)((features.data, places.astype(np.int32), features.indptr), shape=shape), columns


def _row_weights(params: Params, grid: Grid, counts: Any) -> Any:
    """Return a row's weight by its class and model, shape (n_classes, n_models); None where all are 1."""
    if params.text("predictor_type") == CLASSES:
        if not params.is_true("balance_multiclass_weights"):
            return None
        weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return np.repeat(weights[:, None], grid.n_models, axis=1).astype(np.float32)
    given = params["positive_example_weight_mult"]
    if params.text("predictor_type") != "binary_classifier" or given == 1.0:
        return None
    balanced = counts[0] / max(counts[1], 1.0)
    positive = np.where(grid.is_balanced, balanced, 1.0 if given in {"auto", "balanced"} else given)
    return np.stack((np.ones(grid.n_models), positive)).astype(np.float32)
