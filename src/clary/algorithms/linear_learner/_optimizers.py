"""Steps of gradient descent for many models at once: columns are models, each with its own rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params

EPSILON = np.float32(1e-8)


class Optimizer:
    """One matrix of weights and what its steps remember.

    Source
    ------
    Kingma and Ba (2015), arXiv:1412.6980, for adam; rmsprop as Tieleman and Hinton (2012), lecture 6.5.
    """

    def __init__(self, kind: str, params: Params, weights: Any, rates: Any, wd: Any, l1: Any) -> None:
        """Begin.

        Parameters
        ----------
        weights : ndarray, shape (n_rows, n_columns)
            Float32; changed by the steps.
        rates, wd, l1 : ndarray, shape (n_columns,)
            Step size and regularization of every column.
        """
        self.weights = weights
        self._kind = kind
        self._rates, self._wd, self._l1 = rates, wd, l1
        self._has_wd, self._has_l1 = bool(wd.any()), bool(l1.any())
        momentum, first, second = (params[name] for name in ("momentum", "beta_1", "beta_2"))
        if kind == "sgd":
            self._first = np.float32(0.9 if momentum == "auto" else momentum)
        else:
            self._first = np.float32(0.9 if first == "auto" else first)
        self._second = np.float32(0.999 if second == "auto" else second)
        if kind == "rmsprop":
            self._second = np.float32(0.9)
        self.mean = np.zeros_like(weights)
        self.square = np.zeros_like(weights if kind != "sgd" else weights[:0])
        self.n_steps = 0

    def step(self, slope: Any, share: float, rows: Any = None) -> None:
        """Move the weights against their slope.

        Parameters
        ----------
        slope : ndarray
            Of all rows, or of `rows`; written over.
        share : float
            By what the step sizes are multiplied.
        rows : ndarray of int, optional
            The rows whose slope is not zero: others stay, and their regularization waits.
        """
        at: Any = slice(None) if rows is None else rows
        weights = self.weights[at]
        self.n_steps += 1
        if self._has_wd:
            slope += self._wd * weights
        rates = self._rates * np.float32(share)
        if self._kind == "sgd":
            mean = self.mean[at] * self._first - rates * slope
            self.mean[at] = mean
            weights = weights + mean
        else:
            weights = weights - self._adaptive(slope, rates, at)
        if self._has_l1:
            weights = np.sign(weights) * np.maximum(np.abs(weights) - rates * self._l1, 0)
        self.weights[at] = weights

    def _adaptive(self, slope: Any, rates: Any, at: Any) -> Any:
        square = self.square[at]
        square *= self._second
        square += (1 - self._second) * (slope * slope)
        if not isinstance(at, slice):
            self.square[at] = square
        if self._kind == "rmsprop":
            return rates * slope / (np.sqrt(square) + EPSILON)
        mean = self.mean[at]
        mean *= self._first
        mean += (1 - self._first) * slope
        if not isinstance(at, slice):
            self.mean[at] = mean
        unbiased = np.sqrt(1 - float(self._second) ** self.n_steps) / (1 - float(self._first) ** self.n_steps)
        root = np.sqrt(square)
        root += EPSILON
        step = mean / root
        step *= rates * np.float32(unbiased)
        return step

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "weights": self.weights,
            "mean": self.mean,
            "square": self.square,
            "n_steps": np.array(self.n_steps),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.weights[:] = state["weights"]
        self.mean[:] = state["mean"]
        self.square[:] = state["square"]
        self.n_steps = int(state["n_steps"])
